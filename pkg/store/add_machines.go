package store

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// AddMachines records machines with new indexes, and returns them. choose gets the cluster with its machines and
// returns those to add: their indexes count up from Status.NextIndex, which moves on in the same transaction. If the
// cluster was written in the meantime, it starts again, so choose may be called several times; overlapping calls see
// each other's machines. The error of choose is returned as it is, and nothing is written. If the cluster is gone, the
// error is a *NotFoundError.
func (s *Store) AddMachines(ctx context.Context, ref api.Ref,
	choose func(*api.Cluster) ([]api.Machine, error)) ([]api.Machine, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("adding machines to cluster %q", ref.Name)
	var added []api.Machine
	err := etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		c, unchanged, err := s.readClusterToChange(ctx, ref, doing)
		if err != nil {
			return false, err
		}
		for _, m := range c.Status.Machines { // never to overwrite one, whatever the status says
			c.Status.NextIndex = max(c.Status.NextIndex, m.Index+1)
		}
		if added, err = choose(c); err != nil || len(added) == 0 {
			return true, err
		}
		for i, m := range added {
			if m.Index != c.Status.NextIndex+i {
				return false, fmt.Errorf("%s: machine %s has another index than %d", doing, m.Name,
					c.Status.NextIndex+i)
			}
		}
		puts, err := s.encodeMachinePuts(ref.UID, added)
		if err != nil {
			return false, err
		}
		c.Status.NextIndex += len(added)
		value, err := encodeCluster(c)
		if err != nil {
			return false, err
		}
		puts = append(puts, clientv3.OpPut(s.keys.clusterKey(ref.Name), string(value)))
		done, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{unchanged}, etcd.GroupOps(puts), nil)
		if err != nil {
			return false, err
		}
		return done.Succeeded, nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// readClusterToChange reads a cluster with its machines, and returns the condition that the cluster's own key was not
// written since.
func (s *Store) readClusterToChange(ctx context.Context, ref api.Ref, doing string) (*api.Cluster, clientv3.Cmp,
	error) {
	read, err := s.etcd.Commit(ctx, doing, nil, []clientv3.Op{
		clientv3.OpGet(s.keys.clusterKey(ref.Name)),
		clientv3.OpGet(s.keys.machinesPrefix(ref.UID), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, clientv3.Cmp{}, err
	}
	kv := etcd.FirstKV(read, 0)
	c, err := s.decodeClusterByRef(ref, kv)
	if err != nil {
		return nil, clientv3.Cmp{}, err
	}
	machines, bad := decodeMachines(etcd.RangeResult(read, 1))
	if err := joinCorruptErrors(bad); err != nil {
		return nil, clientv3.Cmp{}, err
	}
	c.Status.Machines = machines
	return c, isUnchanged(kv), nil
}
