package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// ListMachines returns the machines of a cluster by index. It leaves out those that cannot be decoded and names them in
// a *CorruptError, which it returns with the others.
func (s *Store) ListMachines(ctx context.Context, uid string) ([]api.Machine, error) {
	if err := checkKeyPart("cluster UID", uid); err != nil {
		return nil, err
	}
	resp, err := s.etcd.Get(ctx, "reading the machines of cluster "+uid, s.keys.machinesPrefix(uid),
		clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	machines, bad := decodeMachines(resp.Kvs)
	return machines, joinCorruptErrors(bad)
}

// ListMachineOwners returns the UIDs that have records of machines, in any state.
func (s *Store) ListMachineOwners(ctx context.Context) (map[string]bool, error) {
	resp, err := s.etcd.Get(ctx, "reading the owners of recorded machines", s.keys.allMachinesPrefix(),
		clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	owners := map[string]bool{}
	for _, kv := range resp.Kvs {
		owners[s.machineOwner(kv.Key)] = true
	}
	return owners, nil
}

// ListAllMachines returns all recorded machines that can be decoded, by the UID of their cluster.
func (s *Store) ListAllMachines(ctx context.Context) (map[string][]api.Machine, error) {
	resp, err := s.etcd.Get(ctx, "reading the recorded machines", s.keys.allMachinesPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	recorded, _ := s.decodeMachinesByOwner(resp.Kvs)
	return recorded, nil
}

// listMachinesAt is ListMachines at a revision of etcd.
func (s *Store) listMachinesAt(ctx context.Context, ref api.Ref, revision int64) ([]api.Machine, error) {
	resp, err := s.etcd.Get(ctx, fmt.Sprintf("reading the machines of cluster %q", ref.Name),
		s.keys.machinesPrefix(ref.UID),
		clientv3.WithPrefix(), clientv3.WithRev(revision))
	if err != nil {
		return nil, err
	}
	machines, bad := decodeMachines(resp.Kvs)
	return machines, joinCorruptErrors(bad)
}

// PutMachines stores machines in one step, and only if the cluster exists. Other indexes keep their machines. If
// another incarnation has one of the indexes and may still exist on its cloud, nothing is stored and the error is an
// *OccupiedError: a machine without a record would keep costing money.
func (s *Store) PutMachines(ctx context.Context, ref api.Ref, machines []api.Machine) error {
	_, err := s.updateMachineSet(ctx, ref, fmt.Sprintf("storing %d machines of cluster %q", len(machines), ref.Name),
		func(have []api.Machine) (result, put []api.Machine, err error) {
			at := positionsByIndex(have)
			for _, m := range machines {
				if i, taken := at[m.Index]; taken && have[i].Incarnation != m.Incarnation && have[i].State.MayExist() {
					return nil, nil, &OccupiedError{Machine: m.Name, Incarnation: m.Incarnation,
						Current: have[i].Incarnation, State: have[i].State}
				}
			}
			return nil, machines, nil
		})
	return err
}

func (s *Store) encodeMachinePuts(uid string, machines []api.Machine) ([]clientv3.Op, error) {
	var puts []clientv3.Op
	seen := map[int]bool{}
	for i := range machines {
		m := &machines[i]
		value, err := encodeMachine(m)
		if err != nil {
			return nil, err
		}
		if seen[m.Index] {
			return nil, fmt.Errorf("machine %q cannot be stored: index %d is used twice", m.Name, m.Index)
		}
		seen[m.Index] = true
		puts = append(puts, clientv3.OpPut(s.keys.machineKey(uid, m.Index), string(value)))
	}
	return puts, nil
}

// ReserveMachines records machines for free indexes, in one step, and returns all machines of the cluster. An index
// that is taken keeps its machine unless replace allows its replacement. So two concurrent calls, or a late retry,
// return the same machines.
func (s *Store) ReserveMachines(ctx context.Context, ref api.Ref, want []api.Machine,
	replace func(api.Machine) bool) ([]api.Machine, error) {
	return s.updateMachineSet(ctx, ref, fmt.Sprintf("reserving the machines of cluster %q", ref.Name),
		func(have []api.Machine) (result, put []api.Machine, err error) {
			result, at := slices.Clone(have), positionsByIndex(have)
			for _, m := range want {
				i, taken := at[m.Index]
				switch {
				case !taken:
					result = append(result, m)
				case replace != nil && replace(result[i]):
					result[i] = m
				default:
					continue
				}
				put = append(put, m)
			}
			slices.SortFunc(result, func(a, b api.Machine) int { return cmp.Compare(a.Index, b.Index) })
			return result, put, nil
		})
}

func positionsByIndex(machines []api.Machine) map[int]int {
	at := map[int]int{}
	for i, m := range machines {
		at[m.Index] = i
	}
	return at
}

// updateMachineSet lets decide see all machines of a cluster and stores those in put, unless one of them or the cluster
// was written in the meantime; then it starts again. It returns what decide wants the caller to see.
func (s *Store) updateMachineSet(ctx context.Context, ref api.Ref, doing string,
	decide func(have []api.Machine) (result, put []api.Machine, err error)) ([]api.Machine, error) {
	var result []api.Machine
	clusterUnchanged := func() ([]clientv3.Cmp, error) {
		_, kv, err := s.readClusterByRef(ctx, ref)
		if err != nil {
			return nil, err
		}
		return []clientv3.Cmp{isUnchanged(kv)}, nil
	}
	// UpdateRange does not notice that a machine was deleted. ForgetMachine and DeleteCluster also write the cluster,
	// and while there is a machine that cannot be read, which RewriteClusterForDelete removes, this function fails.
	err := s.etcd.UpdateRange(ctx, doing, s.keys.machinesPrefix(ref.UID), clusterUnchanged,
		func(kvs []*mvccpb.KeyValue) ([]clientv3.Op, error) {
			have, bad := decodeMachines(kvs)
			if err := joinCorruptErrors(bad); err != nil {
				return nil, err
			}
			var put []api.Machine
			var err error
			if result, put, err = decide(have); err != nil {
				return nil, err
			}
			return s.encodeMachinePuts(ref.UID, put)
		})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// UpdateMachine changes one incarnation of a machine by compare-and-swap, as UpdateCluster does a cluster. If another
// incarnation has its index by now, the error is a *StaleError; if the machine or its cluster is gone, a
// *NotFoundError.
func (s *Store) UpdateMachine(ctx context.Context, ref api.Ref, index int, incarnation string,
	change func(*api.Machine) error) (*api.Machine, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	doing := "updating machine " + api.MachineName(ref.Name, index)
	m, _, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*api.Machine]{
		Doing: doing, Key: s.keys.machineKey(ref.UID, index), Change: change,
		Decode: func(kv *mvccpb.KeyValue) (*api.Machine, error) {
			return decodeIncarnation(kv, ref, index, incarnation)
		},
		Encode: func(m *api.Machine) ([]byte, error) {
			if m.Index != index || m.Incarnation != incarnation {
				return nil, fmt.Errorf("%s: index and incarnation cannot be changed", doing)
			}
			return encodeMachine(m)
		},
	})
	return m, err
}

func decodeIncarnation(kv *mvccpb.KeyValue, ref api.Ref, index int, incarnation string) (*api.Machine, error) {
	if kv == nil {
		return nil, &NotFoundError{Cluster: ref.Name, What: fmt.Sprintf("machine %d", index)}
	}
	m, corrupt := decodeMachine(kv)
	if corrupt != nil {
		return nil, corrupt
	}
	if m.Incarnation != incarnation {
		return nil, &StaleError{Machine: api.MachineName(ref.Name, index), Incarnation: incarnation,
			Current: m.Incarnation}
	}
	return &m, nil
}

// ReplaceMachine records a new incarnation of a machine that is gone, which renew returns, and returns it. If another
// incarnation has the index already, it returns that one, so a repeated call returns the same. If the machine may still
// exist, the error is an *OccupiedError. If the index has no record it is a *NotFoundError: the index of a machine that
// was forgotten is not used again.
func (s *Store) ReplaceMachine(ctx context.Context, ref api.Ref, index int, old string,
	renew func(old api.Machine) api.Machine) (*api.Machine, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	m, _, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*api.Machine]{
		Doing: "replacing machine " + api.MachineName(ref.Name, index), Key: s.keys.machineKey(ref.UID, index),
		Decode: func(kv *mvccpb.KeyValue) (*api.Machine, error) {
			if kv == nil {
				return nil, &NotFoundError{Cluster: ref.Name, What: fmt.Sprintf("machine %d", index)}
			}
			m, corrupt := decodeMachine(kv)
			if corrupt != nil {
				return nil, corrupt
			}
			return &m, nil
		},
		Change: func(m *api.Machine) error {
			if m.Incarnation != old {
				return nil
			}
			fresh := renew(*m)
			if m.State.MayExist() {
				return &OccupiedError{Machine: m.Name, Incarnation: fresh.Incarnation, Current: old, State: m.State}
			}
			*m = fresh
			return nil
		},
		Encode: func(m *api.Machine) ([]byte, error) {
			if m.Index != index {
				return nil, fmt.Errorf("machine %d of cluster %q cannot get index %d", index, ref.Name, m.Index)
			}
			return encodeMachine(m)
		},
	})
	return m, err
}
