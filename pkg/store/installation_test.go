package store_test

import (
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestUpdateHomeIsAtomic(t *testing.T) {
	w := newWorld(t)
	if h, err := w.ReadHome(t.Context()); err != nil || h != (api.Home{}) {
		t.Errorf("before the first update: %+v, %v", h, err)
	}
	done := make(chan error)
	const writers, each = 4, 5
	for range writers {
		go func() {
			var err error
			for range each {
				_, failed := w.UpdateHome(t.Context(), func(h *api.Home) error { h.Starts++; return nil })
				err = errors.Join(err, failed)
			}
			done <- err
		}()
	}
	for range writers {
		must(t, <-done)
	}
	if h, err := w.ReadHome(t.Context()); err != nil || h.Starts != writers*each {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestLostInstallationIDIsNeverReplaced(t *testing.T) {
	deleteID := func(t *testing.T, w world) {
		t.Helper()
		if r, err := w.etcd.Delete(t.Context(), w.prefix+"/installation"); err != nil || r.Deleted != 1 {
			t.Fatal(r, err)
		}
	}
	t.Run("recorded in the home", func(t *testing.T) {
		w := newWorld(t)
		id, err := w.EnsureInstallationID(t.Context())
		must(t, err)
		_, err = w.UpdateHome(t.Context(), func(h *api.Home) error { h.Installation = id; return nil })
		must(t, err)
		deleteID(t, w)
		for range 2 {
			if got, err := w.EnsureInstallationID(t.Context()); err != nil || got != id {
				t.Errorf("got %q, %v, want %q", got, err, id)
			}
		}
	})
	t.Run("only machines have it", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.EnsureInstallationID(t.Context())
		must(t, err)
		r := w.created(t, "a", "u1")
		_, err = w.ReserveMachines(t.Context(), r, machines("a", 1, "xxxxx"), nil)
		must(t, err)
		deleteID(t, w)
		_, err = w.EnsureInstallationID(t.Context())
		if corrupt := new(store.CorruptError); !errors.As(err, &corrupt) {
			t.Errorf("got %v, want a CorruptError", err)
		}
	})
}

func TestSweepRecordExpires(t *testing.T) {
	w := newWorld(t)
	if recent, err := w.HasRecentSweep(t.Context()); err != nil || recent {
		t.Errorf("before the first sweep: %v, %v", recent, err)
	}
	for interval, maxTTL := range map[time.Duration]int64{time.Minute: 600, time.Hour: 3 * 3600} {
		must(t, w.RecordSweep(t.Context(), time.Now().Add(-100*time.Hour), interval)) // from a clock that is behind
		if recent, err := w.HasRecentSweep(t.Context()); err != nil || !recent {
			t.Errorf("after a sweep: %v, %v", recent, err)
		}
		got, err := w.etcd.Get(t.Context(), w.prefix+"/swept")
		must(t, err)
		lease, err := w.etcd.TimeToLive(t.Context(), clientv3.LeaseID(got.Kvs[0].Lease))
		must(t, err)
		if lease.TTL <= maxTTL/2 || lease.TTL > maxTTL {
			t.Errorf("with an interval of %s the record expires in %d s", interval, lease.TTL)
		}
	}
}
