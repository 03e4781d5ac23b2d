package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/jsonscan"
)

// copyRetention is how long a copy is kept of what was set aside without anybody having asked for it.
const copyRetention = 30 * 24 * time.Hour

// SalvageCluster is Get for a cluster whose object, or that of one of its machines, may be damaged: it returns what can
// be read of it, and what is wrong, nil where nothing is. Its UID is that of the object or, where that can't be read,
// the one under which machines of its names are on record that no other cluster has; it is empty where there is none
// such.
func (s *Store) SalvageCluster(ctx context.Context, name string) (*api.Cluster, *CorruptError, error) {
	c, found, err := s.readDamagedCluster(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if found.bad == nil {
		return c, nil, nil
	}
	return c, found.corruptError(), nil
}

// clusterSource is what a cluster was read from.
type clusterSource struct {
	kv *mvccpb.KeyValue
	// bad are the objects that can't be understood, badKVs their keys and values.
	bad    []*CorruptError
	badKVs []*mvccpb.KeyValue
}

func (f clusterSource) corruptError() *CorruptError {
	joined := new(CorruptError)
	_ = errors.As(joinCorruptErrors(f.bad), &joined)
	return joined
}

func (s *Store) readDamagedCluster(ctx context.Context, name string) (*api.Cluster, clusterSource, error) {
	var found clusterSource
	if err := checkKeyPart("cluster name", name); err != nil {
		return nil, found, err
	}
	resp, err := s.etcd.Get(ctx, fmt.Sprintf("reading cluster %q", name), s.keys.clusterKey(name))
	if err != nil {
		return nil, found, err
	}
	if len(resp.Kvs) == 0 {
		return nil, found, &NotFoundError{Cluster: name}
	}
	found.kv = resp.Kvs[0]
	c, corrupt := s.decodeCluster(found.kv)
	if corrupt != nil {
		found.bad, found.badKVs = append(found.bad, corrupt), append(found.badKVs, found.kv)
		c = decodeReadableParts(found.kv.Value, name)
		if c.Metadata.UID == "" || strings.ContainsAny(c.Metadata.UID, "/\x00") {
			if c.Metadata.UID, err = s.findUnclaimedOwner(ctx, name); err != nil {
				return nil, found, err
			}
		}
	}
	if c.Metadata.UID == "" {
		return c, found, nil
	}
	of, err := s.etcd.Get(ctx, fmt.Sprintf("reading the machines of cluster %q", name),
		s.keys.machinesPrefix(c.Metadata.UID), clientv3.WithPrefix())
	if err != nil {
		return nil, found, err
	}
	for _, kv := range of.Kvs {
		m, corrupt := decodeMachine(kv)
		if corrupt != nil {
			found.bad, found.badKVs = append(found.bad, corrupt), append(found.badKVs, kv)
			continue
		}
		c.Status.Machines = append(c.Status.Machines, m)
	}
	return c, found, nil
}

// findUnclaimedOwner is the UID under which machines with the names of a cluster are on record, where no cluster has it
// that can be read; empty where that is none, or more than one.
func (s *Store) findUnclaimedOwner(ctx context.Context, name string) (string, error) {
	all, err := s.ListClustersWithMachines(ctx)
	if corrupt := new(CorruptError); err != nil && !errors.As(err, &corrupt) {
		return "", err
	}
	claimed := map[string]bool{}
	for _, c := range all {
		claimed[c.Metadata.UID] = true
	}
	resp, err := s.etcd.Get(ctx, "reading whose machines are on record", s.keys.allMachinesPrefix(),
		clientv3.WithPrefix())
	if err != nil {
		return "", err
	}
	of, _ := s.decodeMachinesByOwner(resp.Kvs)
	var owners []string
	for uid, machines := range of {
		ours := slices.ContainsFunc(machines,
			func(m api.Machine) bool { return m.Name == api.MachineName(name, m.Index) })
		if ours && !claimed[uid] {
			owners = append(owners, uid)
		}
	}
	if len(owners) != 1 {
		return "", nil
	}
	return owners[0], nil
}

// decodeReadableParts is as much of a cluster as its damaged object still says.
func decodeReadableParts(object []byte, name string) *api.Cluster {
	c := &api.Cluster{}
	err := json.Unmarshal(object, c)
	if cut := new(json.SyntaxError); errors.As(err, &cut) {
		c = &api.Cluster{}
		end := int(cut.Offset)
		if end = min(end, len(object)); end < len(object) {
			end = max(end-1, 0) // before what makes no sense
		}
		_ = json.Unmarshal(jsonscan.CloseCut(object[:end]), c) // what can't be read is left out
	}
	c.APIVersion, c.Kind = api.APIVersion, api.Kind
	c.Metadata.Name, c.Status.Machines = name, nil
	return c
}

// RewriteClusterForDelete puts a cluster that can be deleted in the place of a damaged one: what could be read of it,
// in phase DELETING. What was there is kept beside it until the cluster is forgotten. One that is not damaged is
// returned as it is. It fails where nothing says under which UID the cluster's machines run.
func (s *Store) RewriteClusterForDelete(ctx context.Context, name string, now time.Time) (*api.Cluster, error) {
	doing := fmt.Sprintf("preparing the delete of cluster %q, which is damaged", name)
	var c *api.Cluster
	err := etcd.RetryConflicts(ctx, doing, func() (written bool, err error) {
		c, written, err = s.tryRewriteForDelete(ctx, doing, name, now)
		return written, err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Store) tryRewriteForDelete(ctx context.Context, doing, name string, now time.Time) (*api.Cluster, bool,
	error) {
	c, found, err := s.readDamagedCluster(ctx, name)
	if err != nil || found.bad == nil {
		return c, true, err
	}
	if c.Metadata.UID == "" {
		return nil, false, fmt.Errorf("%s: %w", doing, &NoOwnerError{Cluster: name})
	}
	machines := c.Status.Machines
	prepareForDelete(c, now)
	value, err := encodeCluster(c)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", doing, err)
	}
	key := string(found.kv.Key)
	when := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", found.kv.ModRevision)}
	var ops []clientv3.Op
	for _, kv := range found.badKVs {
		bad := string(kv.Key)
		when = append(when, clientv3.Compare(clientv3.ModRevision(bad), "=", kv.ModRevision))
		ops = append(ops, clientv3.OpPut(s.keys.damagedKey(bad), string(kv.Value)))
		if bad != key {
			ops = append(ops, clientv3.OpDelete(bad))
		}
	}
	ops = append(ops, clientv3.OpPut(key, string(value)))
	resp, err := s.etcd.Commit(ctx, doing, when, etcd.GroupOps(ops), nil)
	if err != nil || !resp.Succeeded {
		return nil, false, err
	}
	c.Metadata.Revision, c.Status.Machines = resp.Header.Revision, machines
	return c, true, nil
}

// NoOwnerError says that nothing readable tells under which UID a damaged cluster's machines run.
type NoOwnerError struct{ Cluster string }

func (e *NoOwnerError) Error() string {
	return fmt.Sprintf("what is left of cluster %q does not say under which UID its machines run", e.Cluster)
}

// prepareForDelete fills in what a delete needs to know of a cluster: its phase, and the cloud that its machines are
// on.
func prepareForDelete(c *api.Cluster, now time.Time) {
	if !c.Status.Phase.IsKnown() {
		c.Status.Phase = api.PhaseError
	}
	c.Status.SetPhase(api.PhaseDeleting, "Damaged", now)
	if p := c.Status.Placement; p != nil && p.Cloud == "" {
		c.Status.Placement = nil
	}
	for _, m := range c.Status.Machines {
		if c.Status.Placement == nil && m.Placement.Cloud != "" {
			at := m.Placement
			c.Status.Placement = &at
		}
	}
	if p := c.Status.Placement; c.Spec.Cloud == "" && p != nil {
		c.Spec.Cloud = p.Cloud
	}
}

// ForgetDamagedCluster takes a cluster's object away that nobody can read, and keeps a copy of it for a month. What
// belongs to it belongs to no cluster then: its machines are orphans.
func (s *Store) ForgetDamagedCluster(ctx context.Context, name string) error {
	doing := fmt.Sprintf("forgetting cluster %q, which is damaged", name)
	_, found, err := s.readDamagedCluster(ctx, name)
	if err != nil {
		return err
	}
	if found.bad == nil {
		return fmt.Errorf("%s: it can be read by now; delete it as any other", doing)
	}
	lease, err := s.grantCopyLease(ctx, doing)
	if err != nil {
		return err
	}
	key := string(found.kv.Key)
	resp, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=",
		found.kv.ModRevision)}, []clientv3.Op{
		clientv3.OpPut(s.keys.damagedKey(key), string(found.kv.Value), clientv3.WithLease(lease)),
		clientv3.OpDelete(key),
	}, nil)
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%s: it changed meanwhile; run the same again", doing)
	}
	return err
}

// grantCopyLease ends a copy of what was set aside.
func (s *Store) grantCopyLease(ctx context.Context, doing string) (clientv3.LeaseID, error) {
	return s.etcd.Grant(ctx, doing, copyRetention)
}
