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

// copyRetention is how long the copy of an object that was set aside is kept.
const copyRetention = 30 * 24 * time.Hour

// SalvageCluster reads a cluster whose object or machines may be damaged. It returns the readable parts and the damage,
// which is nil for an intact cluster. If the UID is unreadable, it is taken from recorded machines that have the names
// of this cluster and belong to no other. It is empty if there is no such UID.
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

// clusterSource is the stored objects from which a cluster was read.
type clusterSource struct {
	kv *mvccpb.KeyValue
	// bad are the errors of the objects that cannot be decoded, badKVs their keys and values.
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
	machines, err := s.etcd.Get(ctx, fmt.Sprintf("reading the machines of cluster %q", name),
		s.keys.machinesPrefix(c.Metadata.UID), clientv3.WithPrefix())
	if err != nil {
		return nil, found, err
	}
	for _, kv := range machines.Kvs {
		m, corrupt := decodeMachine(kv)
		if corrupt != nil {
			found.bad, found.badKVs = append(found.bad, corrupt), append(found.badKVs, kv)
			continue
		}
		c.Status.Machines = append(c.Status.Machines, m)
	}
	return c, found, nil
}

// findUnclaimedOwner returns the UID of recorded machines that have the names of a cluster, if no readable cluster has
// that UID. It is empty if there is no such UID, or more than one.
func (s *Store) findUnclaimedOwner(ctx context.Context, name string) (string, error) {
	all, err := s.ListClustersWithMachines(ctx)
	if corrupt := new(CorruptError); err != nil && !errors.As(err, &corrupt) {
		return "", err
	}
	claimed := map[string]bool{}
	for _, c := range all {
		claimed[c.Metadata.UID] = true
	}
	resp, err := s.etcd.Get(ctx, "reading the owners of recorded machines", s.keys.allMachinesPrefix(),
		clientv3.WithPrefix())
	if err != nil {
		return "", err
	}
	byOwner, _ := s.decodeMachinesByOwner(resp.Kvs)
	var owners []string
	for uid, machines := range byOwner {
		hasName := slices.ContainsFunc(machines,
			func(m api.Machine) bool { return m.Name == api.MachineName(name, m.Index) })
		if hasName && !claimed[uid] {
			owners = append(owners, uid)
		}
	}
	if len(owners) != 1 {
		return "", nil
	}
	return owners[0], nil
}

// decodeReadableParts decodes as much of a damaged cluster object as possible.
func decodeReadableParts(object []byte, name string) *api.Cluster {
	c := &api.Cluster{}
	err := json.Unmarshal(object, c)
	if cut := new(json.SyntaxError); errors.As(err, &cut) {
		c = &api.Cluster{}
		end := int(cut.Offset)
		if end = min(end, len(object)); end < len(object) {
			end = max(end-1, 0) // before the invalid byte
		}
		object = jsonscan.CloseCut(object[:end])
		err = json.Unmarshal(object, c)
	}
	if err != nil { // decoding ends with an error of api.ClusterSpec
		_ = jsonscan.EachMember(object, func(name, value []byte) error {
			part := map[string]any{"metadata": &c.Metadata, "spec": &c.Spec, "status": &c.Status}[string(name)]
			if part != nil {
				_ = json.Unmarshal(value, part) // leave out what cannot be decoded
			}
			return nil
		})
	}
	c.APIVersion, c.Kind = api.APIVersion, api.Kind
	c.Metadata.Name, c.Status.Machines = name, nil
	return c
}

// RewriteClusterForDelete replaces a damaged cluster with one that can be deleted: its readable parts, in phase
// DELETING. A copy of the damaged objects is kept until the cluster is deleted. An intact cluster is returned
// unchanged. If the UID of the cluster's machines is unknown, the error is a *NoOwnerError.
func (s *Store) RewriteClusterForDelete(ctx context.Context, name string, now time.Time) (*api.Cluster, error) {
	doing := fmt.Sprintf("preparing the deletion of damaged cluster %q", name)
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

// NoOwnerError means that the UID of a damaged cluster's machines is unknown.
type NoOwnerError struct{ Cluster string }

func (e *NoOwnerError) Error() string {
	return fmt.Sprintf("the damaged record of cluster %q has no UID, so its machines are unknown", e.Cluster)
}

// prepareForDelete sets what a delete needs: the phase and the cloud of the machines.
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

// ForgetDamagedCluster deletes an unreadable cluster object and keeps a copy for a month. The cluster's machines become
// orphans.
func (s *Store) ForgetDamagedCluster(ctx context.Context, name string) error {
	doing := fmt.Sprintf("removing the record of damaged cluster %q", name)
	_, found, err := s.readDamagedCluster(ctx, name)
	if err != nil {
		return err
	}
	if found.bad == nil {
		return fmt.Errorf("%s: it is readable now; delete it normally", doing)
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
		err = fmt.Errorf("%s: it was changed at the same time; run the command again", doing)
	}
	return err
}

// grantCopyLease creates the lease that removes copies after copyRetention.
func (s *Store) grantCopyLease(ctx context.Context, doing string) (clientv3.LeaseID, error) {
	return s.etcd.Grant(ctx, doing, copyRetention)
}
