package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// ForgetMachine removes the record of a machine that is gone, and its SSH host key, and adds what it has cost to the
// cluster's RemovedCost. This is one transaction, so a repeated call does not add the cost again: it succeeds if the
// index has no record. If the machine's state is not Gone, the error is a *NotGoneError; if another incarnation has its
// index, a *StaleError; if the cluster is gone, a *NotFoundError. In these cases nothing is written.
func (s *Store) ForgetMachine(ctx context.Context, ref api.Ref, index int, incarnation string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	doing := "forgetting machine " + api.MachineName(ref.Name, index)
	clusterKey, machineKey := s.keys.clusterKey(ref.Name), s.keys.machineKey(ref.UID, index)
	return etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		read, err := s.etcd.Commit(ctx, doing, nil, []clientv3.Op{clientv3.OpGet(clusterKey),
			clientv3.OpGet(machineKey)}, nil)
		if err != nil {
			return false, err
		}
		clusterKV, machineKV := etcd.FirstKV(read, 0), etcd.FirstKV(read, 1)
		value, err := s.addRemovedCost(ref, index, incarnation, clusterKV, machineKV)
		if err != nil || value == nil {
			return true, err
		}
		done, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{isUnchanged(clusterKV), isUnchanged(machineKV)},
			[]clientv3.Op{
				clientv3.OpPut(clusterKey, string(value)),
				clientv3.OpDelete(machineKey),
				clientv3.OpDelete(s.keys.secretKey(ref.UID, SecretHostKey(incarnation))),
			}, nil)
		if err != nil {
			return false, err
		}
		return done.Succeeded, nil
	})
}

// addRemovedCost returns the cluster's new value without a machine; nil if the machine has no record.
func (s *Store) addRemovedCost(ref api.Ref, index int, incarnation string, clusterKV,
	machineKV *mvccpb.KeyValue) ([]byte, error) {
	c, err := s.decodeClusterByRef(ref, clusterKV)
	if err != nil {
		return nil, err
	}
	m, err := decodeIncarnation(machineKV, ref, index, incarnation)
	if gone := new(NotFoundError); errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.State != api.MachineGone {
		return nil, &NotGoneError{Machine: m.Name, State: m.State}
	}
	c.Status.AddRemovedCost(*m)
	return encodeCluster(c)
}

// isUnchanged is true until the key that was read is written or deleted.
func isUnchanged(kv *mvccpb.KeyValue) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)
}
