package store_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestASweepCountsForAWhile(t *testing.T) {
	w := newWorld(t)
	if lately, err := w.SweptLately(t.Context()); err != nil || lately {
		t.Errorf("before any: %v, %v", lately, err)
	}
	must(t, w.NoteSweep(t.Context(), time.Now().Add(-100*time.Hour))) // by a clock that is behind
	if lately, err := w.SweptLately(t.Context()); err != nil || !lately {
		t.Errorf("after one: %v, %v", lately, err)
	}
	got, err := w.etcd.Get(t.Context(), w.prefix+"/swept")
	must(t, err)
	left, err := w.etcd.TimeToLive(t.Context(), clientv3.LeaseID(got.Kvs[0].Lease))
	must(t, err)
	if left.TTL <= 0 || left.TTL > 600 {
		t.Errorf("it ends in %d s", left.TTL)
	}
}
