package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// orphanRetention is how long the record of an orphan is kept after the machine was last listed. If it is listed again
// within that time, its age continues: a cloud's list can be incomplete for a while.
const orphanRetention = time.Hour

// ReplaceOrphans replaces the recorded orphans of one cloud with those that were seen there now, and returns them with
// the time when each was first seen. Orphans are identified by the cloud's id: another machine with the same name is
// new. Machines for which isOwned returns true belong to a cluster and are removed at once; isOwned can be nil.
func (s *Store) ReplaceOrphans(ctx context.Context, cloud string, seen []api.Orphan, isOwned func(api.Orphan) bool,
	now time.Time) ([]api.Orphan, error) {
	doing := fmt.Sprintf("recording the orphans on %s", cloud)
	if cloud == "" {
		return nil, fmt.Errorf("%s: the cloud has no name", doing)
	}
	var current []api.Orphan
	// Only this function deletes orphans, and one sweep runs at a time. What another call restores, the next sweep
	// deletes again.
	err := s.etcd.UpdateRange(ctx, doing, s.keys.orphansPrefix(cloud), nil,
		func(kvs []*mvccpb.KeyValue) (ops []clientv3.Op, err error) {
			if current, ops, err = s.mergeOrphans(cloud, kvs, seen, isOwned, now); err != nil {
				return nil, fmt.Errorf("%s: %w", doing, err)
			}
			return ops, nil
		})
	if err != nil {
		return nil, err
	}
	return current, nil
}

// mergeOrphans returns the orphans after an update with seen, and the operations that store it.
func (s *Store) mergeOrphans(cloud string, have []*mvccpb.KeyValue, seen []api.Orphan, isOwned func(api.Orphan) bool,
	now time.Time) ([]api.Orphan, []clientv3.Op, error) {
	current, wanted := make([]api.Orphan, 0, len(seen)), map[string]api.Orphan{}
	known, _ := decodeAll(have, decodeOrphan)
	for _, o := range seen {
		o.MissingSince = time.Time{}
		for _, old := range known {
			cleared := old.Conflict != "" && o.Conflict == "" // its age did not count during the conflict
			if isSameOrphan(old, o) && !cleared && old.FirstSeen.Before(o.FirstSeen) {
				o.FirstSeen = old.FirstSeen
			}
		}
		current = append(current, o)
		wanted[s.keys.orphanKey(cloud, o.Name, o.ID)] = o
	}
	for _, old := range known {
		if slices.ContainsFunc(seen, func(o api.Orphan) bool { return isSameOrphan(old, o) }) ||
			isOwned != nil && isOwned(old) {
			continue
		}
		if old.MissingSince.IsZero() {
			old.MissingSince = now
		}
		key := s.keys.orphanKey(cloud, old.Name, old.ID)
		if _, taken := wanted[key]; !taken && now.Sub(old.MissingSince) < orphanRetention {
			wanted[key] = old
		}
	}
	ops, err := orphanChanges(have, wanted)
	return current, ops, err
}

// isSameOrphan reports whether two records are of the same machine. Names of machines are reused, ids are not.
func isSameOrphan(a, b api.Orphan) bool {
	return a.Name == b.Name && a.ID == b.ID && a.ClusterUID == b.ClusterUID
}

// orphanChanges returns the operations that make the stored orphans equal to the wanted ones, by key.
func orphanChanges(have []*mvccpb.KeyValue, wanted map[string]api.Orphan) ([]clientv3.Op, error) {
	var ops []clientv3.Op
	stored := map[string][]byte{}
	for _, kv := range have {
		stored[string(kv.Key)] = kv.Value
		if _, stays := wanted[string(kv.Key)]; !stays {
			ops = append(ops, clientv3.OpDelete(string(kv.Key)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		value, err := json.Marshal(wanted[key])
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(stored[key], value) {
			ops = append(ops, clientv3.OpPut(key, string(value)))
		}
	}
	return ops, nil
}

// AddOrphan adds an orphan to the recorded ones of a cloud.
func (s *Store) AddOrphan(ctx context.Context, cloud string, o api.Orphan) error {
	value, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = s.etcd.Commit(ctx, "recording an orphan on "+cloud, nil,
		[]clientv3.Op{clientv3.OpPut(s.keys.orphanKey(cloud, o.Name, o.ID), string(value))}, nil)
	return err
}

// ListOrphans returns the orphans that were found last, by cloud and name. Records that cannot be decoded are left out.
func (s *Store) ListOrphans(ctx context.Context) ([]api.Orphan, error) {
	resp, err := s.etcd.Get(ctx, "reading the orphans", s.keys.allOrphansPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	orphans, _ := decodeAll(resp.Kvs, decodeOrphan)
	orphans = slices.DeleteFunc(orphans, func(o api.Orphan) bool { return !o.MissingSince.IsZero() })
	slices.SortFunc(orphans, func(a, b api.Orphan) int {
		return cmp.Or(cmp.Compare(a.Cloud, b.Cloud), cmp.Compare(a.Name, b.Name))
	})
	return orphans, nil
}

func decodeOrphan(kv *mvccpb.KeyValue) (api.Orphan, *CorruptError) {
	var o api.Orphan
	if err := json.Unmarshal(kv.Value, &o); err != nil {
		return o, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("invalid orphan: %w", err)}
	}
	return o, nil
}
