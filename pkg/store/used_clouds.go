package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// cloudUseInterval is how old a note of a cloud's use may become before it is written anew.
const cloudUseInterval = 10 * time.Minute

// RecordCloudUse records that machines are asked of a cloud, so that it is asked for orphans even when no cluster names
// it any more.
func (s *Store) RecordCloudUse(ctx context.Context, name string, now time.Time) error {
	doing := fmt.Sprintf("noting that cloud %q is in use", name)
	if name == "" {
		return fmt.Errorf("%s: it has no name", doing)
	}
	key := s.keys.cloudKey(name)
	resp, err := s.etcd.Get(ctx, doing, key)
	if err != nil {
		return err
	}
	if len(resp.Kvs) > 0 {
		at, err := time.Parse(time.RFC3339, string(resp.Kvs[0].Value))
		if err == nil && !at.After(now) && now.Sub(at) < cloudUseInterval {
			return nil
		}
	}
	_, err = s.etcd.Commit(ctx, doing, nil, []clientv3.Op{clientv3.OpPut(key, now.UTC().Format(time.RFC3339))}, nil)
	return err
}

// ListUsedClouds names the clouds that were used since then, give or take some minutes. A note that can't be understood
// counts: better to ask one cloud in vain than to leave a machine unfound.
func (s *Store) ListUsedClouds(ctx context.Context, since time.Time) ([]string, error) {
	resp, err := s.etcd.Get(ctx, "reading which clouds are in use", s.keys.cloudsPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, kv := range resp.Kvs {
		name, err := url.PathUnescape(strings.TrimPrefix(string(kv.Key), s.keys.cloudsPrefix()))
		if err != nil || name == "" {
			continue
		}
		if at, err := time.Parse(time.RFC3339, string(kv.Value)); err == nil &&
			at.Before(since.Add(-cloudUseInterval)) {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// RenewCloudUse has every cloud that was ever used be asked for orphans from now on: something was forgotten of which
// nobody knows where it was.
func (s *Store) RenewCloudUse(ctx context.Context, now time.Time) error {
	names, err := s.ListUsedClouds(ctx, time.Time{})
	for _, name := range names {
		if err == nil {
			err = s.RecordCloudUse(ctx, name, now)
		}
	}
	if err != nil {
		return fmt.Errorf("having all clouds asked for machines of no cluster: %w", err)
	}
	return nil
}
