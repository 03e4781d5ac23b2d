package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// SweepStale is after how long without a sweep nobody can rely on what the last one recorded, where sweeps are meant
// to come often. Where they come seldom, it is missedSweeps times their interval.
const (
	SweepStale   = 10 * time.Minute
	missedSweeps = 3
)

// RecordSweep records that a sweep over all clusters has begun, of those that are meant to come at an interval. The
// record ends by itself, by etcd's own measure of time: no two machines' clocks are compared.
func (s *Store) RecordSweep(ctx context.Context, now time.Time, interval time.Duration) error {
	const doing = "recording that a sweep has begun"
	call, cancel := withCallTimeout(ctx)
	defer cancel()
	lease, err := s.client.Grant(call, int64(max(SweepStale, missedSweeps*interval).Seconds()))
	if err != nil {
		return s.wrapError(ctx, doing, err)
	}
	_, err = s.commitTxn(ctx, doing, nil, []clientv3.Op{
		clientv3.OpPut(s.keys.lastSweepKey(), now.UTC().Format(time.RFC3339), clientv3.WithLease(lease.ID)),
	}, nil)
	return err
}

// HasRecentSweep says whether a sweep over all clusters has begun before it was time to miss one.
func (s *Store) HasRecentSweep(ctx context.Context) (bool, error) {
	resp, err := s.getKeys(ctx, "reading when the last sweep was", s.keys.lastSweepKey(), clientv3.WithCountOnly())
	return err == nil && resp.Count > 0, err
}
