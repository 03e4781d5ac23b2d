package integration

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestDamagedClusterIsDeletedWithItsMachines(t *testing.T) {
	for name, keep := range map[string]func(int) int{ // a cluster's name, and the length of its truncated object
		"cut-in-half": func(n int) int {
			return n / 2
		}, "cut-to-nothing": func(int) int { return 0 }, "cut-at-the-end": func(n int) int { return n - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ref := w.create(name, 2, client.CreateOptions{})
			w.awaitReady(ref)
			w.damage("/clusters/"+name, keep)
			w.sweep("") // which does not change it or its machines
			if got := w.cloud.ExistingMachines("sky-" + name + "-"); len(got) != 2 {
				t.Fatalf("%d machines remain", len(got))
			}
			c, damage, err := w.store.SalvageCluster(t.Context(), name)
			if err != nil || damage == nil || c.Metadata.UID != ref.UID || len(c.Status.Machines) != 2 {
				t.Fatalf("%+v, %v, %v", c, damage, err)
			}
			if _, err := w.store.RewriteClusterForDelete(t.Context(), name, time.Now().UTC()); err != nil {
				t.Fatal(err)
			}
			w.delete(ref, name == "cut-to-nothing")
			w.awaitGone(ref)
			if got := w.cloud.ExistingMachines("sky-" + name + "-"); len(got) != 0 {
				t.Errorf("%d machines remain", len(got))
			}
			for _, kv := range w.dump() {
				if key := string(kv.key); strings.Contains(key, ref.UID) && !strings.Contains(key, "/events/") ||
					strings.HasSuffix(key, "/clusters/"+name) {
					t.Errorf("%s remains", key)
				}
			}
		})
	}
}

func TestUnownedRecordsAreDeletedOnceNoMachineRuns(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	var ahead atomic.Int64
	w.acts.Sweeps.Now = func() time.Time { return time.Now().UTC().Add(time.Duration(ahead.Load())) }
	w.work()
	ref := w.create("dropped", 2, client.CreateOptions{})
	w.awaitReady(ref)
	recorded := func() bool {
		owners, err := w.store.ListMachineOwners(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.store.ReadSecret(t.Context(), ref, store.SecretSSHKey)
		missing := new(store.NotFoundError)
		if err != nil && !errors.As(err, &missing) {
			t.Fatal(err)
		}
		return owners[ref.UID] || err == nil
	}
	w.forgetKeys("/clusters/dropped")
	if r := w.sweep(""); len(r.Orphans) != 2 {
		t.Fatalf("orphans %+v", r.Orphans)
	}
	ahead.Store(int64(8 * 24 * time.Hour))
	if w.sweep(""); !recorded() {
		t.Fatal("the records of running machines were deleted")
	}
	w.cloud.LoseMachine("sky-dropped-0")
	w.cloud.LoseMachine("sky-dropped-1")
	if w.sweep(""); recorded() {
		t.Error("its records still exist")
	}
	copies := 0
	for _, kv := range w.dump() {
		if strings.Contains(string(kv.key), "/damaged/") && strings.Contains(string(kv.key), ref.UID) {
			copies++
		}
	}
	if copies < 4 {
		t.Errorf("%d copies", copies)
	}
	events, err := w.store.ListEvents(t.Context(), ref.UID)
	if err != nil || len(events) == 0 || events[len(events)-1].Reason != "RecordsSetAside" {
		t.Errorf("events %+v, %v", events, err)
	}
}
