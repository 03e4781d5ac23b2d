package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// cloudUseInterval is the age at which the record of a cloud's use is renewed.
const cloudUseInterval = 10 * time.Minute

// RecordCloudUse records that machines are launched on a cloud, so that sweeps search it for orphans even if no cluster
// uses it any longer.
func (s *Store) RecordCloudUse(ctx context.Context, name string, now time.Time) error {
	doing := fmt.Sprintf("recording the use of cloud %q", name)
	if name == "" {
		return fmt.Errorf("%s: the cloud has no name", doing)
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

// ListUsedClouds returns the clouds that were used after since, minus cloudUseInterval. An invalid record counts as
// used, because an unnecessary query is better than an orphan that is not found.
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

// RenewCloudUse makes sweeps search every cloud that was ever used for orphans, because a record was removed whose
// cloud is unknown.
func (s *Store) RenewCloudUse(ctx context.Context, now time.Time) error {
	names, err := s.ListUsedClouds(ctx, time.Time{})
	for _, name := range names {
		if err == nil {
			err = s.RecordCloudUse(ctx, name, now)
		}
	}
	if err != nil {
		return fmt.Errorf("recording that all clouds are searched for orphans: %w", err)
	}
	return nil
}
