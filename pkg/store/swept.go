package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// SweepStale is after how long without a sweep nobody can rely on what the last one recorded. It is many times the
// interval at which sweeps are meant to come.
const SweepStale = 10 * time.Minute

// NoteSweep records that a sweep over all clusters has begun. The record ends by itself, by etcd's own measure of
// time: no two machines' clocks are compared.
func (s *Store) NoteSweep(ctx context.Context, now time.Time) error {
	const doing = "recording that a sweep has begun"
	call, cancel := bounded(ctx)
	defer cancel()
	lease, err := s.client.Grant(call, int64(SweepStale.Seconds()))
	if err != nil {
		return s.failure(ctx, doing, err)
	}
	_, err = s.txn(ctx, doing, nil, []clientv3.Op{
		clientv3.OpPut(s.keys.swept(), now.UTC().Format(time.RFC3339), clientv3.WithLease(lease.ID)),
	}, nil)
	return err
}

// SweptLately says whether a sweep over all clusters has begun within SweepStale.
func (s *Store) SweptLately(ctx context.Context) (bool, error) {
	resp, err := s.get(ctx, "reading when the last sweep was", s.keys.swept(), clientv3.WithCountOnly())
	return err == nil && resp.Count > 0, err
}
