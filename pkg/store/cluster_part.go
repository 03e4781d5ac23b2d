package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/jsonscan"
)

// ReadClusterObject returns a cluster without machines. If another cluster has the name now, the error is a
// *NotFoundError.
func (s *Store) ReadClusterObject(ctx context.Context, ref api.Ref) (*api.Cluster, error) {
	c, _, err := s.readClusterByRef(ctx, ref)
	return c, err
}

// ReadClusterPart returns a cluster with the machines of its control plane and those that have the given indexes, all
// of one revision, and without drift and repairs, which can have an entry for each machine. What it reads does not grow
// with the number of machines, except the first time. An index without a record is left out. If another cluster has the
// name now, the error is a *NotFoundError.
func (s *Store) ReadClusterPart(ctx context.Context, ref api.Ref, indexes ...int) (*api.Cluster, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	known, ok := s.servers.get(ref.UID)
	if !ok {
		return s.readWholeForPart(ctx, ref, indexes)
	}
	wanted := slices.Concat(known.indexes, indexes)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	reads := []clientv3.Op{clientv3.OpGet(s.keys.clusterKey(ref.Name))}
	for _, index := range wanted {
		reads = append(reads, clientv3.OpGet(s.keys.machineKey(ref.UID, index)))
	}
	// An index is never used again, so new machines, which may be servers, have higher ones than all before.
	reads = append(reads, clientv3.OpGet(s.keys.machineKey(ref.UID, known.last+1),
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.keys.machinesPrefix(ref.UID)))))
	resp, err := s.etcd.Commit(ctx, fmt.Sprintf("reading cluster %q", ref.Name), nil, reads, nil)
	if err != nil {
		return nil, err
	}
	c, err := s.decodeClusterByRef(ref, trimCluster(etcd.FirstKV(resp, 0)))
	if err != nil {
		return nil, err
	}
	var kvs []*mvccpb.KeyValue
	for i := range wanted {
		kvs = append(kvs, etcd.RangeResult(resp, 1+i)...)
	}
	machines, bad := decodeMachines(append(kvs, etcd.RangeResult(resp, 1+len(wanted))...))
	if err := joinCorruptErrors(bad); err != nil {
		return nil, err
	}
	for _, server := range known.indexes {
		if !slices.ContainsFunc(machines, func(m api.Machine) bool { return m.Index == server && isServer(m) }) {
			return s.readWholeForPart(ctx, ref, indexes) // it has left the cluster
		}
	}
	s.servers.add(ref.UID, machines)
	c.Status.Machines = selectMachines(machines, indexes)
	return c, nil
}

// readWholeForPart reads all machines of a cluster to find its control plane.
func (s *Store) readWholeForPart(ctx context.Context, ref api.Ref, indexes []int) (*api.Cluster, error) {
	s.servers.forget(ref.UID)
	c, err := s.ReadCluster(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	if c.Metadata.UID != ref.UID {
		return nil, &NotFoundError{Cluster: ref.Name}
	}
	s.servers.add(ref.UID, c.Status.Machines)
	c.Status.Machines = selectMachines(c.Status.Machines, indexes)
	c.Status.Drift, c.Status.Repairs = nil, nil
	return c, nil
}

// trimCluster leaves out drift and repairs of a stored cluster, because decoding them for each step of each machine
// would cost the square of the number of machines. An object that it cannot read stays as it is.
func trimCluster(kv *mvccpb.KeyValue) *mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	trimmed := &mvccpb.KeyValue{Key: kv.Key, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision,
		Version: kv.Version, Lease: kv.Lease, Value: []byte{'{'}}
	err := jsonscan.EachMember(kv.Value, func(name, value []byte) error {
		if string(name) != "status" {
			trimmed.Value = appendMember(trimmed.Value, name, value)
			return nil
		}
		status := []byte{'{'}
		err := jsonscan.EachMember(value, func(name, value []byte) error {
			if text := string(name); text != "drift" && text != "repairs" {
				status = appendMember(status, name, value)
			}
			return nil
		})
		trimmed.Value = appendMember(trimmed.Value, name, append(status, '}'))
		return err
	})
	if err != nil {
		return kv
	}
	trimmed.Value = append(trimmed.Value, '}')
	return trimmed
}

// appendMember appends a member to an object that is not closed yet.
func appendMember(object, name, value []byte) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	object = append(append(append(object, '"'), name...), '"', ':')
	return append(object, value...)
}

// selectMachines returns the servers and the machines with the indexes, by index.
func selectMachines(machines []api.Machine, indexes []int) []api.Machine {
	var selected []api.Machine
	for _, m := range machines {
		if isServer(m) || slices.Contains(indexes, m.Index) {
			selected = append(selected, m)
		}
	}
	slices.SortFunc(selected, func(a, b api.Machine) int { return cmp.Compare(a.Index, b.Index) })
	return slices.CompactFunc(selected, func(a, b api.Machine) bool { return a.Index == b.Index })
}

func isServer(m api.Machine) bool { return m.Role == api.RoleHead }

// serverCache remembers which machines of a cluster are its control plane. The machine with an index never changes its
// role.
type serverCache struct {
	mu    sync.Mutex
	byUID map[string]knownServers
}

type knownServers struct {
	indexes []int
	// last is the highest index of the machines that were looked at.
	last int
}

// get returns the servers of a cluster; false if none is known.
func (c *serverCache) get(uid string) (knownServers, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.byUID[uid]
	return known, ok && len(known.indexes) > 0
}

// add remembers which of the machines are servers. They must include every machine above the last known index.
func (c *serverCache) add(uid string, machines []api.Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byUID[uid]
	changed := false
	for _, m := range machines {
		if isServer(m) && !slices.Contains(known.indexes, m.Index) {
			// A copy, because a reader may use the slice.
			known.indexes, changed = append(slices.Clone(known.indexes), m.Index), true
		}
		if m.Index > known.last {
			known.last, changed = m.Index, true
		}
	}
	if !changed {
		return
	}
	if c.byUID == nil {
		c.byUID = map[string]knownServers{}
	}
	c.byUID[uid] = known
}

func (c *serverCache) forget(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byUID, uid)
}
