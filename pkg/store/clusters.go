package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// CreateCluster stores a new cluster. If the name is taken, the error is an *ExistsError with the existing cluster. If
// the existing object has the same UID, that is a success: a create whose answer was lost can be repeated. If a secret
// that the spec refers to does not exist, the error is a *SecretMissingError.
func (s *Store) CreateCluster(ctx context.Context, c *api.Cluster) (*api.Cluster, error) {
	name := c.Metadata.Name
	value, err := encodeCluster(c)
	if err != nil {
		return nil, err
	}
	key := s.keys.clusterKey(name)
	resp, err := s.etcd.Commit(ctx, fmt.Sprintf("creating cluster %q", name),
		append(s.secretsExist(c.Spec), clientv3.Compare(clientv3.CreateRevision(key), "=", 0)),
		[]clientv3.Op{clientv3.OpPut(key, string(value))},
		[]clientv3.Op{clientv3.OpGet(key), clientv3.OpGet(s.keys.namedSecretsPrefix(), clientv3.WithPrefix(),
			clientv3.WithKeysOnly())})
	if err != nil {
		return nil, err
	}
	kv := &mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: resp.Header.Revision}
	if !resp.Succeeded {
		if kv = etcd.FirstKV(resp, 0); kv == nil {
			return nil, s.newSecretMissingError(c.Spec, etcd.RangeResult(resp, 1))
		}
	}
	stored, corrupt := s.decodeCluster(kv)
	switch {
	case corrupt != nil:
		return nil, corrupt
	case stored.Metadata.UID != c.Metadata.UID:
		return nil, &ExistsError{Existing: stored}
	}
	return stored, nil
}

// ReadCluster returns a cluster with its machines, both of one revision, or a *NotFoundError.
func (s *Store) ReadCluster(ctx context.Context, name string) (*api.Cluster, error) {
	for {
		c, at, err := s.readClusterObject(ctx, name)
		if err != nil {
			return nil, err
		}
		machines, err := s.listMachinesAt(ctx, api.Ref{Name: name, UID: c.Metadata.UID}, at.revision)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the revision was compacted: use a newer one
		}
		if err != nil {
			return nil, err
		}
		c.Status.Machines = machines
		return c, nil
	}
}

// storedCluster is a cluster's key and value, and the revision of the store at which it was read.
type storedCluster struct {
	*mvccpb.KeyValue
	revision int64
}

// readClusterObject returns a cluster without machines.
func (s *Store) readClusterObject(ctx context.Context, name string) (*api.Cluster, storedCluster, error) {
	stored, err := s.readClusterKey(ctx, name)
	if err != nil {
		return nil, stored, err
	}
	c, corrupt := s.decodeCluster(stored.KeyValue)
	if corrupt != nil {
		return nil, stored, corrupt
	}
	return c, stored, nil
}

func (s *Store) readClusterKey(ctx context.Context, name string) (storedCluster, error) {
	if err := checkKeyPart("cluster name", name); err != nil {
		return storedCluster{}, err
	}
	resp, err := s.etcd.Get(ctx, fmt.Sprintf("reading cluster %q", name), s.keys.clusterKey(name))
	if err != nil {
		return storedCluster{}, err
	}
	if len(resp.Kvs) == 0 {
		return storedCluster{}, &NotFoundError{Cluster: name}
	}
	return storedCluster{resp.Kvs[0], resp.Header.Revision}, nil
}

// readClusterByRef returns a *NotFoundError if the name now belongs to a cluster with another UID.
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

// clusterStillExists is true until the cluster that was read is deleted: no update changes the creation revision of its
// key.
func clusterStillExists(kv *mvccpb.KeyValue) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(string(kv.Key)), "=", kv.CreateRevision)
}

// ListClusters returns all clusters by name, without machines. It leaves out objects that cannot be decoded and names
// them in a *CorruptError, which it returns with the others.
func (s *Store) ListClusters(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.etcd.Get(ctx, "listing clusters", s.keys.clustersPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	clusters, bad := s.decodeClusters(resp.Kvs)
	return clusters, joinCorruptErrors(bad)
}

// FindTwin returns the cluster that api.FindTwin finds for a restore of a cluster from a snapshot. If the record of the
// snapshot's own cluster cannot be decoded, the error is a *CorruptError.
func (s *Store) FindTwin(ctx context.Context, c *api.Cluster, snapshot api.Snapshot) (*api.Cluster, error) {
	if !c.MayHaveTwin(snapshot) {
		return nil, nil
	}
	all, err := s.ListClusters(ctx)
	damaged := CorruptClusterNames(err)
	if err != nil && (len(damaged) == 0 || slices.Contains(damaged, snapshot.Cluster)) {
		return nil, err
	}
	return api.FindTwin(all, c, snapshot), nil
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

// ListClustersWithMachines is ListClusters with the machines of each, all of one revision.
func (s *Store) ListClustersWithMachines(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.etcd.Commit(ctx, "listing clusters and machines", nil, []clientv3.Op{
		clientv3.OpGet(s.keys.clustersPrefix(), clientv3.WithPrefix()),
		clientv3.OpGet(s.keys.allMachinesPrefix(), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, err
	}
	clusters, bad := s.decodeClusters(etcd.RangeResult(resp, 0))
	byOwner, badMachines := s.decodeMachinesByOwner(etcd.RangeResult(resp, 1))
	for i := range clusters {
		clusters[i].Status.Machines = byOwner[clusters[i].Metadata.UID]
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
	byOwner := map[string][]api.Machine{}
	for _, o := range all {
		byOwner[o.uid] = append(byOwner[o.uid], o.m)
	}
	return byOwner, bad
}

// machineOwner is the UID in a machine's key.
func (s *Store) machineOwner(key []byte) string {
	uid, _, _ := strings.Cut(strings.TrimPrefix(string(key), s.keys.allMachinesPrefix()), "/")
	return uid
}

// UpdateCluster reads a cluster, calls change, and stores the result unless the object was written in the meantime;
// then it starts again, so change may be called several times. change does not see machines. If it fails, its error is
// returned as it is and nothing is stored. If the cluster is gone, or now has another UID, the error is a
// *NotFoundError.
func (s *Store) UpdateCluster(ctx context.Context, ref api.Ref, change func(*api.Cluster) error) (*api.Cluster, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	stored, err := s.readClusterKey(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("updating cluster %q", ref.Name)
	c, revision, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*api.Cluster]{
		Doing: doing, Key: s.keys.clusterKey(ref.Name), First: stored.KeyValue, Change: change,
		Decode: func(kv *mvccpb.KeyValue) (*api.Cluster, error) { return s.decodeClusterByRef(ref, kv) },
		Encode: func(c *api.Cluster) ([]byte, error) {
			if c.Metadata.Name != ref.Name || c.Metadata.UID != ref.UID {
				return nil, fmt.Errorf("%s: name and UID cannot be changed", doing)
			}
			return encodeCluster(c)
		},
	})
	if err != nil {
		return nil, err
	}
	c.Metadata.Revision, c.Status.Machines = revision, nil
	return c, nil
}

// decodeClusterByRef decodes the cluster under a key, which is nil if the key does not exist.
func (s *Store) decodeClusterByRef(ref api.Ref, kv *mvccpb.KeyValue) (*api.Cluster, error) {
	if kv == nil {
		return nil, &NotFoundError{Cluster: ref.Name}
	}
	c, corrupt := s.decodeCluster(kv)
	if corrupt != nil {
		return nil, corrupt
	}
	if c.Metadata.UID != ref.UID {
		return nil, &NotFoundError{Cluster: ref.Name}
	}
	return c, nil
}

// DeleteCluster deletes a cluster, its machines and its secrets in one step. It succeeds if the cluster is already
// gone. It does not touch a new cluster with the same name.
func (s *Store) DeleteCluster(ctx context.Context, ref api.Ref) error {
	doing := fmt.Sprintf("deleting cluster %q", ref.Name)
	defer s.learner.forgetCluster(ref.UID)
	defer s.servers.forget(ref.UID)
	rest := []clientv3.Op{
		clientv3.OpDelete(s.keys.machinesPrefix(ref.UID), clientv3.WithPrefix()),
		clientv3.OpDelete(s.keys.secretsPrefix(ref.UID), clientv3.WithPrefix()),
		clientv3.OpDelete(s.keys.damagedKey(s.keys.machinesPrefix(ref.UID)), clientv3.WithPrefix()),
	}
	return etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		_, kv, err := s.readClusterByRef(ctx, ref)
		if gone := new(NotFoundError); errors.As(err, &gone) {
			_, err = s.etcd.Commit(ctx, doing, nil, rest, nil)
			return true, err
		}
		if err != nil {
			return false, err
		}
		key := string(kv.Key)
		object := []clientv3.Op{clientv3.OpDelete(key), clientv3.OpDelete(s.keys.damagedKey(key))}
		resp, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{clusterStillExists(kv)}, append(object, rest...), nil)
		if err != nil {
			return false, err
		}
		return resp.Succeeded, nil
	})
}
