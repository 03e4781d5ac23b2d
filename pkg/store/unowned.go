package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Unowned are the machines and secrets on record under a UID that no cluster has.
type Unowned struct {
	UID string
	// Machines are those that can be read.
	Machines []api.Machine
	// Records is how many objects there are, secrets included.
	Records int
	// FirstSeen is when they were first found to belong to no cluster.
	FirstSeen time.Time
}

// FindUnowned returns what is on record for no cluster, and remembers since when each is so. While any cluster's
// object can't be understood it is a *CorruptError: what seems to belong to none may be that one's.
func (s *Store) FindUnowned(ctx context.Context, now time.Time) ([]Unowned, error) {
	const doing = "looking for records of no cluster"
	found, seen, _, err := s.unowned(ctx, doing)
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
		ops = append(ops, clientv3.OpPut(s.keys.unowned(u.UID), u.FirstSeen.Format(time.RFC3339)))
	}
	for uid := range seen {
		if !slices.ContainsFunc(found, func(u Unowned) bool { return u.UID == uid }) {
			ops = append(ops, clientv3.OpDelete(s.keys.unowned(uid)))
		}
	}
	if len(ops) > 0 {
		_, err = s.txn(ctx, doing, nil, group(ops), nil)
	}
	return found, err
}

// unowned reads all of one moment, which is also returned: the revision of the store.
func (s *Store) unowned(ctx context.Context, doing string) ([]Unowned, map[string]time.Time, int64, error) {
	resp, err := s.txn(ctx, doing, nil, []clientv3.Op{
		clientv3.OpGet(s.keys.clusters(), clientv3.WithPrefix()),
		clientv3.OpGet(s.keys.allMachines(), clientv3.WithPrefix(), clientv3.WithKeysOnly()),
		clientv3.OpGet(s.keys.allSecrets(), clientv3.WithPrefix(), clientv3.WithKeysOnly()),
		clientv3.OpGet(s.keys.allUnowned(), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, nil, 0, err
	}
	clusters, bad := s.decodeClusters(rangeOf(resp, 0))
	if err := joinCorrupt(bad); err != nil {
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
	count(rangeOf(resp, 1), s.keys.allMachines())
	count(rangeOf(resp, 2), s.keys.allSecrets())
	seen := map[string]time.Time{}
	for _, kv := range rangeOf(resp, 3) {
		at, err := time.Parse(time.RFC3339, string(kv.Value))
		if err == nil { // one that makes no sense is seen anew
			seen[strings.TrimPrefix(string(kv.Key), s.keys.allUnowned())] = at
		}
	}
	var found []Unowned
	for uid, n := range records {
		machines, err := s.get(ctx, doing, s.keys.machines(uid), clientv3.WithPrefix())
		if err != nil {
			return nil, nil, 0, err
		}
		readable, _ := decodeMachines(machines.Kvs)
		found = append(found, Unowned{UID: uid, Records: n, Machines: readable})
	}
	slices.SortFunc(found, func(a, b Unowned) int { return strings.Compare(a.UID, b.UID) })
	return found, seen, resp.Header.Revision, nil
}

// SetAsideUnowned takes away what is on record under a UID that no cluster has, and keeps a copy of it for a month.
// It does nothing, and says so, where a cluster was written meanwhile: that may be the one whose it is.
func (s *Store) SetAsideUnowned(ctx context.Context, uid string) (bool, error) {
	doing := "setting aside what is on record under " + uid
	if err := checkPart("cluster UID", uid); err != nil {
		return false, err
	}
	found, _, revision, err := s.unowned(ctx, doing)
	if err != nil || !slices.ContainsFunc(found, func(u Unowned) bool { return u.UID == uid }) {
		return false, err
	}
	lease, err := s.copyLease(ctx, doing)
	if err != nil {
		return false, err
	}
	ops := []clientv3.Op{clientv3.OpDelete(s.keys.unowned(uid))}
	when := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.keys.clusters()).WithPrefix(), "<", revision+1)}
	for _, prefix := range []string{s.keys.machines(uid), s.keys.secrets(uid)} {
		resp, err := s.get(ctx, doing, prefix, clientv3.WithPrefix(), clientv3.WithRev(revision))
		if err != nil {
			return false, err
		}
		for _, kv := range resp.Kvs {
			copied := clientv3.OpPut(s.keys.damaged(string(kv.Key)), string(kv.Value), clientv3.WithLease(lease))
			ops = append(ops, copied, clientv3.OpDelete(string(kv.Key)))
		}
		when = append(when, clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", revision+1))
	}
	resp, err := s.txn(ctx, doing, when, group(ops), nil)
	return err == nil && resp.Succeeded, err
}

// RenewClouds has every cloud that was ever used be asked for orphans from now on: something was forgotten of which
// nobody knows where it was.
func (s *Store) RenewClouds(ctx context.Context, now time.Time) error {
	names, err := s.CloudsUsed(ctx, time.Time{})
	for _, name := range names {
		if err == nil {
			err = s.NoteCloud(ctx, name, now)
		}
	}
	if err != nil {
		return fmt.Errorf("having all clouds asked for machines of no cluster: %w", err)
	}
	return nil
}
