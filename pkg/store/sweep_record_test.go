package store_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestASweepCountsForAWhile(t *testing.T) {
	w := newWorld(t)
	if lately, err := w.HasRecentSweep(t.Context()); err != nil || lately {
		t.Errorf("before any: %v, %v", lately, err)
	}
	for interval, most := range map[time.Duration]int64{time.Minute: 600, time.Hour: 3 * 3600} {
		must(t, w.RecordSweep(t.Context(), time.Now().Add(-100*time.Hour), interval)) // by a clock that is behind
		if lately, err := w.HasRecentSweep(t.Context()); err != nil || !lately {
			t.Errorf("after one: %v, %v", lately, err)
		}
		got, err := w.etcd.Get(t.Context(), w.prefix+"/swept")
		must(t, err)
		left, err := w.etcd.TimeToLive(t.Context(), clientv3.LeaseID(got.Kvs[0].Lease))
		must(t, err)
		if left.TTL <= most/2 || left.TTL > most {
			t.Errorf("where sweeps come every %s it ends in %d s", interval, left.TTL)
		}
	}
}
