package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
	"github.com/sky-shift/skyctl/test/freeport"
)

var sixOClock = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// event returns an event of a machine, some minutes after six.
func event(uid, machine, message string, minutes int) api.Event {
	at := sixOClock.Add(time.Duration(minutes) * time.Minute)
	return api.Event{Cluster: "c", UID: uid, Machine: machine, Type: api.EventWarning, Reason: "UnitDead",
		Message: message, First: at, Last: at}
}

func (w world) records(t *testing.T, events ...api.Event) {
	t.Helper()
	for _, e := range events {
		must(t, w.RecordEvent(t.Context(), e))
	}
}

func messages(events []api.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Message)
	}
	return strings.Join(all, " ")
}

func TestRepeatedEventsIncreaseCount(t *testing.T) {
	w := newWorld(t)
	w.records(t, event("u1", "sky-c-0", "a", 0), event("u1", "sky-c-0", "a", 7), event("u1", "sky-c-0", "a", 5),
		event("u1", "sky-c-1", "b", 1), event("u1", "sky-c-0", "c", 2), event("u2", "sky-c-0", "a", 3))
	got, err := w.ListEvents(t.Context(), "u1")
	must(t, err)
	if messages(got) != "b c a" {
		t.Fatalf("events are %q", messages(got))
	}
	if a := got[2]; a.Count != 3 || !a.First.Equal(sixOClock) || !a.Last.Equal(sixOClock.Add(7*time.Minute)) {
		t.Errorf("the repeated event: %+v", a)
	}
	if got[0].Count != 1 {
		t.Errorf("the single event: %+v", got[0])
	}
	all, err := w.ListEvents(t.Context(), "")
	must(t, err)
	if messages(all) != "b c a a" {
		t.Errorf("all events are %q", messages(all))
	}
}

func TestConcurrentRepetitionsAreCounted(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	const n = 24
	for range n {
		all.Go(func() {
			if err := w.RecordEvent(t.Context(), event("u1", "", "a", 0)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := w.ListEvents(t.Context(), "u1")
	must(t, err)
	if len(got) != 1 || got[0].Count != n {
		t.Errorf("got %+v", got)
	}
}

func TestEventsOutliveClusterUnderOneLease(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "c", "u1")
	w.records(t, event("u1", "", "a", 0), event("u1", "", "b", 1), event("", "", "c", 2))
	must(t, w.DeleteCluster(t.Context(), r))
	got, err := w.ListEvents(t.Context(), "u1")
	must(t, err)
	if messages(got) != "a b" {
		t.Errorf("events of the deleted cluster: %q", messages(got))
	}
	got, err = w.ListEvents(t.Context(), store.InstallationEvents)
	must(t, err)
	if messages(got) != "c" {
		t.Errorf("events without a cluster: %q", messages(got))
	}
	resp, err := w.etcd.Get(t.Context(), w.prefix+"/events/", clientv3.WithPrefix())
	must(t, err)
	leases := map[int64]bool{}
	for _, kv := range resp.Kvs {
		leases[kv.Lease] = true
	}
	if len(leases) != 1 || leases[0] {
		t.Fatalf("the leases are %v", leases)
	}
	for id := range leases {
		lease, err := w.etcd.TimeToLive(t.Context(), clientv3.LeaseID(id))
		must(t, err)
		if week := int64(7 * 24 * 3600); lease.TTL < week || lease.TTL > week+3600 {
			t.Errorf("the events expire in %d s", lease.TTL)
		}
		_, err = w.etcd.Revoke(t.Context(), clientv3.LeaseID(id))
		must(t, err)
	}
	w.records(t, event("u1", "", "d", 3)) // events can be recorded after the lease was revoked
	got, err = w.ListEvents(t.Context(), "")
	must(t, err)
	if messages(got) != "d" {
		t.Errorf("after the lease was revoked: %q", messages(got))
	}
}

func TestOldestEventsArePruned(t *testing.T) {
	w := newWorld(t)
	w.records(t, event("u2", "", "other", 0))
	for i := range 205 {
		w.records(t, event("u1", "", fmt.Sprint("m", i), i))
		if i == 150 {
			w.records(t, event("u1", "", "m0", i)) // repeated, so no longer the oldest
		}
	}
	got, err := w.ListEvents(t.Context(), "u1")
	must(t, err)
	if len(got) != 200 || got[0].Message != "m6" || got[199].Message != "m204" ||
		!strings.Contains(messages(got), "m0 ") {
		t.Errorf("%d events are left: %s", len(got), messages(got))
	}
	got, err = w.ListEvents(t.Context(), "u2")
	must(t, err)
	if len(got) != 1 {
		t.Errorf("events of another cluster were pruned: %v", got)
	}
}

func TestInvalidEventIsSkippedAndReplaced(t *testing.T) {
	w := newWorld(t)
	w.records(t, event("u1", "", "a", 0))
	for key := range w.raw(t) {
		_, err := w.etcd.Put(t.Context(), w.prefix+key, "nonsense")
		must(t, err)
	}
	got, err := w.ListEvents(t.Context(), "")
	must(t, err)
	if len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	odd := event("../u/1", "", strings.Repeat("ü", 5000), 2)
	w.records(t, event("u1", "", "a", 1), odd)
	got, err = w.ListEvents(t.Context(), "u1")
	must(t, err)
	if len(got) != 1 || got[0].Count != 1 {
		t.Errorf("got %+v", got)
	}
	got, err = w.ListEvents(t.Context(), odd.UID)
	must(t, err)
	if len(got) != 1 || len(got[0].Message) > 2100 {
		t.Errorf("event with an unusual UID: %+v", got)
	}
}

// nextEvent reads one event of a watch.
func nextEvent(t *testing.T, events <-chan api.Event) api.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the watch ended")
		}
		return e
	case <-time.After(2 * time.Minute):
		t.Fatal("no event within 2 minutes")
	}
	return api.Event{}
}

func TestWatchEventsSendsStoredThenNewEvents(t *testing.T) {
	w := newWorld(t)
	w.records(t, event("u1", "", "b", 2), event("u1", "", "a", 1), event("u2", "", "x", 0))
	ctx, cancel := context.WithCancel(t.Context())
	events, err := w.WatchEvents(ctx, "u1")
	must(t, err)
	all, err := w.WatchEvents(ctx, "")
	must(t, err)
	if got := []api.Event{nextEvent(t, events), nextEvent(t, events)}; messages(got) != "a b" {
		t.Errorf("first events: %q", messages(got))
	}
	if got := []api.Event{nextEvent(t, all), nextEvent(t, all), nextEvent(t, all)}; messages(got) != "x a b" {
		t.Errorf("first of all events: %q", messages(got))
	}
	w.records(t, event("u2", "", "y", 3), event("", "", "z", 4), event("u1", "", "a", 5))
	if e := nextEvent(t, events); e.Message != "a" || e.Count != 2 {
		t.Errorf("next event: %+v", e)
	}
	if got := []api.Event{nextEvent(t, all), nextEvent(t, all), nextEvent(t, all)}; messages(got) != "y z a" {
		t.Errorf("next of all events: %q", messages(got))
	}
	cancel()
	for range events {
	}
	for range all {
	}
}

func TestWatchEventsResumesWithoutRepetition(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), freeport.GetAddress(t)
	e, err := etcdserver.Start(dir, address)
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{"http://" + address}, Prefix: "/p",
		DialTimeout: 10 * time.Second})
	must(t, err)
	w := world{Store: s}
	w.records(t, event("u1", "", "before", 0))
	events, err := s.WatchEvents(t.Context(), "u1")
	must(t, err)
	nextEvent(t, events)
	w.records(t, event("u1", "", "at last", 1))
	nextEvent(t, events)
	e.Close()

	away := freeport.GetAddress(t)
	e, err = etcdserver.Start(dir, away)
	must(t, err)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + away}})
	must(t, err)
	other := world{Store: store.New(c, "/p", nil)}
	other.records(t, event("u1", "", "meanwhile", 2), event("u2", "", "elsewhere", 3), event("u1", "", "and then", 4))
	resp, err := c.Get(t.Context(), "x")
	must(t, err)
	_, err = c.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	must(t, other.Close())
	e.Close()

	e, err = etcdserver.Start(dir, address)
	must(t, err)
	defer func() { s.Close(); e.Close() }()
	if got := []api.Event{nextEvent(t, events), nextEvent(t, events)}; messages(got) != "meanwhile and then" {
		t.Errorf("first after the outage: %q", messages(got))
	}
	w.records(t, event("u1", "", "after", 5))
	if got := nextEvent(t, events); got.Message != "after" {
		t.Errorf("after that: %+v", got)
	}
}
