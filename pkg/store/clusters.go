package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// CreateCluster stores a new cluster. Where one of that name is there the error is an *ExistsError that carries it;
// finding the very same object (by UID) is a success, so that a create whose answer was lost can be repeated.
func (s *Store) CreateCluster(ctx context.Context, c *api.Cluster) (*api.Cluster, error) {
	name := c.Metadata.Name
	value, err := encodeCluster(c)
	if err != nil {
		return nil, err
	}
	key := s.keys.clusterKey(name)
	resp, err := s.commitTxn(ctx, fmt.Sprintf("creating cluster %q", name),
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(key, string(value))},
		[]clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return nil, err
	}
	kv := &mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: resp.Header.Revision}
	if !resp.Succeeded {
		kv = firstKV(resp, 0)
	}
	there, corrupt := s.decodeCluster(kv)
	switch {
	case corrupt != nil:
		return nil, corrupt
	case there.Metadata.UID != c.Metadata.UID:
		return nil, &ExistsError{Existing: there}
	}
	return there, nil
}

// ReadCluster returns a cluster with its machines, both as they stood at one moment; a *NotFoundError where there is
// none.
func (s *Store) ReadCluster(ctx context.Context, name string) (*api.Cluster, error) {
	for {
		c, at, err := s.readClusterObject(ctx, name)
		if err != nil {
			return nil, err
		}
		machines, err := s.listMachinesAt(ctx, api.Ref{Name: name, UID: c.Metadata.UID}, at.revision)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the moment has gone by: take another
		}
		if err != nil {
			return nil, err
		}
		c.Status.Machines = machines
		return c, nil
	}
}

// storedCluster is a cluster's key as etcd has it, and the revision of the whole store when it was read.
type storedCluster struct {
	*mvccpb.KeyValue
	revision int64
}

// readClusterObject returns a cluster without machines.
func (s *Store) readClusterObject(ctx context.Context, name string) (*api.Cluster, storedCluster, error) {
	none := storedCluster{}
	if err := checkKeyPart("cluster name", name); err != nil {
		return nil, none, err
	}
	resp, err := s.getKeys(ctx, fmt.Sprintf("reading cluster %q", name), s.keys.clusterKey(name))
	if err != nil {
		return nil, none, err
	}
	if len(resp.Kvs) == 0 {
		return nil, none, &NotFoundError{Cluster: name}
	}
	c, corrupt := s.decodeCluster(resp.Kvs[0])
	if corrupt != nil {
		return nil, none, corrupt
	}
	return c, storedCluster{resp.Kvs[0], resp.Header.Revision}, nil
}

// readClusterByRef is read for one cluster of that name: another one with the same name is not found.
func (s *Store) readClusterByRef(ctx context.Context, ref api.Ref) (*api.Cluster, *mvccpb.KeyValue, error) {
	if err := checkRef(ref); err != nil {
		return nil, nil, err
	}
	c, at, err := s.readClusterObject(ctx, ref.Name)
	if err != nil {
		return nil, nil, err
	}
	if c.Metadata.UID != ref.UID {
		return nil, nil, &NotFoundError{Cluster: ref.Name}
	}
	return c, at.KeyValue, nil
}

// clusterStillExists holds while the cluster that was read lives: its key's creation is the one thing no update
// changes.
func clusterStillExists(kv *mvccpb.KeyValue) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)
}

// ListClusters returns all clusters by name, without machines. Objects that can't be understood are left out and named
// in a *CorruptError, which comes with the good ones.
func (s *Store) ListClusters(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.getKeys(ctx, "listing clusters", s.keys.clustersPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	clusters, bad := s.decodeClusters(resp.Kvs)
	return clusters, joinCorruptErrors(bad)
}

func (s *Store) decodeClusters(kvs []*mvccpb.KeyValue) ([]api.Cluster, []*CorruptError) {
	return decodeAll(kvs, func(kv *mvccpb.KeyValue) (api.Cluster, *CorruptError) {
		c, corrupt := s.decodeCluster(kv)
		if corrupt != nil {
			return api.Cluster{}, corrupt
		}
		return *c, nil
	})
}

// ListClustersWithMachines is List with the machines of each, all of one moment.
func (s *Store) ListClustersWithMachines(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.commitTxn(ctx, "listing clusters and machines", nil, []clientv3.Op{
		clientv3.OpGet(s.keys.clustersPrefix(), clientv3.WithPrefix()),
		clientv3.OpGet(s.keys.allMachinesPrefix(), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, err
	}
	clusters, bad := s.decodeClusters(rangeResult(resp, 0))
	of, badMachines := s.decodeMachinesByOwner(rangeResult(resp, 1))
	for i := range clusters {
		clusters[i].Status.Machines = of[clusters[i].Metadata.UID]
	}
	return clusters, joinCorruptErrors(append(bad, badMachines...))
}

func (s *Store) decodeMachinesByOwner(kvs []*mvccpb.KeyValue) (map[string][]api.Machine, []*CorruptError) {
	type owned struct {
		uid string
		m   api.Machine
	}
	all, bad := decodeAll(kvs, func(kv *mvccpb.KeyValue) (owned, *CorruptError) {
		m, corrupt := decodeMachine(kv)
		return owned{uid: s.machineOwner(kv.Key), m: m}, corrupt
	})
	of := map[string][]api.Machine{}
	for _, o := range all {
		of[o.uid] = append(of[o.uid], o.m)
	}
	return of, bad
}

// machineOwner is the UID in a machine's key.
func (s *Store) machineOwner(key []byte) string {
	uid, _, _ := strings.Cut(strings.TrimPrefix(string(key), s.keys.allMachinesPrefix()), "/")
	return uid
}

// UpdateCluster reads a cluster, lets change work on it, and stores it unless somebody else did meanwhile; then it
// begins anew, so change may be called several times. Machines are not part of what change sees. An error of change
// comes back as it is, and nothing is stored. The error is a *NotFoundError where the cluster is gone or has another
// UID.
func (s *Store) UpdateCluster(ctx context.Context, ref api.Ref, change func(*api.Cluster) error) (*api.Cluster, error) {
	c, kv, err := s.readClusterByRef(ctx, ref)
	if err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("updating cluster %q", ref.Name)
	for attempt := 0; ; attempt++ {
		if err := change(c); err != nil {
			return nil, err
		}
		if c.Metadata.Name != ref.Name || c.Metadata.UID != ref.UID {
			return nil, fmt.Errorf("%s: its name and UID can't be changed", doing)
		}
		value, err := encodeCluster(c)
		if err != nil {
			return nil, err
		}
		c.Status.Machines = nil
		if bytes.Equal(value, kv.Value) {
			c.Metadata.Revision = kv.ModRevision
			return c, nil
		}
		key := string(kv.Key)
		resp, err := s.commitTxn(ctx, doing,
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)},
			[]clientv3.Op{clientv3.OpPut(key, string(value))},
			[]clientv3.Op{clientv3.OpGet(key)})
		if err != nil {
			return nil, err
		}
		if resp.Succeeded {
			c.Metadata.Revision = resp.Header.Revision
			return c, nil
		}
		if c, kv, err = s.decodeClusterByRef(ref, firstKV(resp, 0)); err != nil {
			return nil, err
		}
		if err := pauseBeforeRetry(ctx, attempt); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
}

// decodeClusterByRef is the cluster of a key that was read within a transaction; nil means that it wasn't there.
func (s *Store) decodeClusterByRef(ref api.Ref, kv *mvccpb.KeyValue) (*api.Cluster, *mvccpb.KeyValue, error) {
	if kv == nil {
		return nil, nil, &NotFoundError{Cluster: ref.Name}
	}
	c, corrupt := s.decodeCluster(kv)
	if corrupt != nil {
		return nil, nil, corrupt
	}
	if c.Metadata.UID != ref.UID {
		return nil, nil, &NotFoundError{Cluster: ref.Name}
	}
	return c, kv, nil
}

// DeleteCluster forgets a cluster, its machines and its secrets in one step. A cluster that is gone already, or whose
// name has passed to another, is a success; the other is left alone.
func (s *Store) DeleteCluster(ctx context.Context, ref api.Ref) error {
	doing := fmt.Sprintf("deleting cluster %q", ref.Name)
	defer s.learner.forgetCluster(ref.UID)
	rest := []clientv3.Op{
		clientv3.OpDelete(s.keys.machinesPrefix(ref.UID), clientv3.WithPrefix()),
		clientv3.OpDelete(s.keys.secretsPrefix(ref.UID), clientv3.WithPrefix()),
		clientv3.OpDelete(s.keys.damagedKey(s.keys.machinesPrefix(ref.UID)), clientv3.WithPrefix()),
	}
	for attempt := 0; ; attempt++ {
		_, kv, err := s.readClusterByRef(ctx, ref)
		var gone *NotFoundError
		if errors.As(err, &gone) {
			_, err = s.commitTxn(ctx, doing, nil, rest, nil)
			return err
		}
		if err != nil {
			return err
		}
		resp, err := s.commitTxn(ctx, doing, []clientv3.Cmp{clusterStillExists(kv)},
			append([]clientv3.Op{clientv3.OpDelete(string(kv.Key)),
				clientv3.OpDelete(s.keys.damagedKey(string(kv.Key)))}, rest...), nil)
		if err != nil || resp.Succeeded {
			return err
		}
		if err := pauseBeforeRetry(ctx, attempt); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}
