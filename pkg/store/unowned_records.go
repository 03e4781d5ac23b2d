package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// UnownedRecords are the recorded machines and secrets under a UID that no cluster has.
type UnownedRecords struct {
	UID string
	// Machines are the ones that can be decoded.
	Machines []api.Machine
	// Records is the number of objects, secrets included.
	Records int
	// FirstSeen is when they were first found without a cluster.
	FirstSeen time.Time
}

// FindUnownedRecords returns the records that belong to no cluster, and stores when each was first found. If a cluster
// object cannot be decoded, the error is a *CorruptError, because the records may belong to that cluster.
func (s *Store) FindUnownedRecords(ctx context.Context, now time.Time) ([]UnownedRecords, error) {
	const doing = "finding records without a cluster"
	found, seen, _, err := s.readUnownedRecords(ctx, doing)
	if err != nil {
		return nil, err
	}
	var ops []clientv3.Op
	for i := range found {
		u := &found[i]
		if at, known := seen[u.UID]; known {
			u.FirstSeen = at
			continue
		}
		u.FirstSeen = now.UTC()
		ops = append(ops, clientv3.OpPut(s.keys.unownedKey(u.UID), u.FirstSeen.Format(time.RFC3339)))
	}
	for uid := range seen {
		if !slices.ContainsFunc(found, func(u UnownedRecords) bool { return u.UID == uid }) {
			ops = append(ops, clientv3.OpDelete(s.keys.unownedKey(uid)))
		}
	}
	if len(ops) > 0 {
		_, err = s.etcd.Commit(ctx, doing, nil, etcd.GroupOps(ops), nil)
	}
	return found, err
}

// readUnownedRecords reads everything at one revision, which it also returns.
func (s *Store) readUnownedRecords(ctx context.Context, doing string) ([]UnownedRecords, map[string]time.Time, int64,
	error) {
	resp, err := s.etcd.Commit(ctx, doing, nil, []clientv3.Op{
		clientv3.OpGet(s.keys.clustersPrefix(), clientv3.WithPrefix()),
		clientv3.OpGet(s.keys.allMachinesPrefix(), clientv3.WithPrefix(), clientv3.WithKeysOnly()),
		clientv3.OpGet(s.keys.allSecretsPrefix(), clientv3.WithPrefix(), clientv3.WithKeysOnly()),
		clientv3.OpGet(s.keys.allUnownedPrefix(), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, nil, 0, err
	}
	clusters, bad := s.decodeClusters(etcd.RangeResult(resp, 0))
	if err := joinCorruptErrors(bad); err != nil {
		return nil, nil, 0, err
	}
	owned := map[string]bool{}
	for _, c := range clusters {
		owned[c.Metadata.UID] = true
	}
	records := map[string]int{}
	count := func(kvs []*mvccpb.KeyValue, under string) {
		for _, kv := range kvs {
			uid, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), under), "/")
			if !owned[uid] && uid != "" {
				records[uid]++
			}
		}
	}
	count(etcd.RangeResult(resp, 1), s.keys.allMachinesPrefix())
	count(etcd.RangeResult(resp, 2), s.keys.allSecretsPrefix())
	seen := map[string]time.Time{}
	for _, kv := range etcd.RangeResult(resp, 3) {
		at, err := time.Parse(time.RFC3339, string(kv.Value))
		if err == nil { // otherwise it counts as found now
			seen[strings.TrimPrefix(string(kv.Key), s.keys.allUnownedPrefix())] = at
		}
	}
	var found []UnownedRecords
	for uid, n := range records {
		machines, err := s.etcd.Get(ctx, doing, s.keys.machinesPrefix(uid), clientv3.WithPrefix())
		if err != nil {
			return nil, nil, 0, err
		}
		readable, _ := decodeMachines(machines.Kvs)
		found = append(found, UnownedRecords{UID: uid, Records: n, Machines: readable})
	}
	slices.SortFunc(found, func(a, b UnownedRecords) int { return strings.Compare(a.UID, b.UID) })
	return found, seen, resp.Header.Revision, nil
}

// SetAsideUnownedRecords deletes the records under a UID that no cluster has, and keeps a copy for a month. It changes
// nothing and returns false if a cluster was written at the same time, because the records may belong to it.
func (s *Store) SetAsideUnownedRecords(ctx context.Context, uid string) (bool, error) {
	doing := "setting aside the records of UID " + uid
	if err := checkKeyPart("cluster UID", uid); err != nil {
		return false, err
	}
	found, _, revision, err := s.readUnownedRecords(ctx, doing)
	if err != nil || !slices.ContainsFunc(found, func(u UnownedRecords) bool { return u.UID == uid }) {
		return false, err
	}
	lease, err := s.grantCopyLease(ctx, doing)
	if err != nil {
		return false, err
	}
	ops := []clientv3.Op{clientv3.OpDelete(s.keys.unownedKey(uid))}
	when := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.keys.clustersPrefix()).WithPrefix(), "<",
		revision+1)}
	for _, prefix := range []string{s.keys.machinesPrefix(uid), s.keys.secretsPrefix(uid)} {
		resp, err := s.etcd.Get(ctx, doing, prefix, clientv3.WithPrefix(), clientv3.WithRev(revision))
		if err != nil {
			return false, err
		}
		for _, kv := range resp.Kvs {
			backup := clientv3.OpPut(s.keys.damagedKey(string(kv.Key)), string(kv.Value), clientv3.WithLease(lease))
			ops = append(ops, backup, clientv3.OpDelete(string(kv.Key)))
		}
		when = append(when, clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", revision+1))
	}
	resp, err := s.etcd.Commit(ctx, doing, when, etcd.GroupOps(ops), nil)
	return err == nil && resp.Succeeded, err
}
