package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestPutMachinesStoresHundredsInOneStep(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 1000, "aaaaa")))
	resp, err := w.etcd.Get(t.Context(), w.prefix+"/machines/u1/0000")
	must(t, err)
	first := resp.Kvs[0].ModRevision
	if resp.Header.Revision != first {
		t.Errorf("written at revision %d but the store is at %d: more than one step", first, resp.Header.Revision)
	}
	got, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	if len(got) != 1000 || got[999].Name != "sky-a-999" {
		t.Errorf("%d machines", len(got))
	}
}

func TestPutMachinesKeepsOtherIndexes(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 3, "aaaaa")))
	must(t, w.PutMachines(t.Context(), r, []api.Machine{machine("a", 1, "bbbbb")}))
	got, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	if len(got) != 3 || got[0].Incarnation != "aaaaa" || got[1].Incarnation != "bbbbb" ||
		got[2].Incarnation != "aaaaa" {
		t.Errorf("got %+v", got)
	}
}

func TestMachineThatMayExistIsNeverOverwritten(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa")))
	to := func(s api.MachineState) {
		_, err := w.UpdateMachine(t.Context(), r, 1, "aaaaa", func(m *api.Machine) error { m.State = s; return nil })
		must(t, err)
	}
	for _, s := range []api.MachineState{api.MachineLaunching, api.MachineUp, api.MachineReady,
		api.MachineTerminating} {
		to(s)
		err := wantErr[*store.OccupiedError](t, w.PutMachines(t.Context(), r, machines("a", 2, "bbbbb")))
		if want := "machine sky-a-1: incarnation bbbbb cannot replace aaaaa, which may still exist (" +
			string(s) + ")"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %q", err)
		}
	}
	got, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	if got[0].Incarnation != "aaaaa" || got[1].Incarnation != "aaaaa" {
		t.Errorf("something was stored: %+v", got)
	}
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa"))) // the same incarnation can be written again
	to(api.MachineGone)
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "bbbbb")))
}

func TestInvalidMachinesAreNotStored(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	bad := map[string]api.Machine{
		"index -1":       machine("a", -1, "aaaaa"),
		"index 10000":    machine("a", 10000, "aaaaa"),
		"no incarnation": machine("a", 1, ""),
		"twice":          machine("a", 0, "bbbbb"),
	}
	for what, m := range bad {
		if err := w.PutMachines(t.Context(), r, []api.Machine{machine("a", 0, "aaaaa"), m}); err == nil ||
			!strings.Contains(err.Error(), "cannot be stored") {
			t.Errorf("%s: %v", what, err)
		}
	}
	got, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	if len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestNoConcurrentMachineUpdateIsLost(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 5, "aaaaa")))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := w.UpdateMachine(t.Context(), r, i%5, "aaaaa", func(m *api.Machine) error {
				m.SSHPort++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	for _, m := range got {
		if m.SSHPort != 10 {
			t.Errorf("machine %d: %d of 10 updates were stored", m.Index, m.SSHPort)
		}
	}
}

func TestMachineUpdateChecksIncarnation(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 1, "aaaaa")))
	set := func(m *api.Machine) error { m.State = api.MachineUp; return nil }

	got, err := w.UpdateMachine(t.Context(), r, 0, "aaaaa", set)
	must(t, err)
	if got.State != api.MachineUp {
		t.Errorf("state %s", got.State)
	}
	stale := wantErr[*store.StaleError](t, second(w.UpdateMachine(t.Context(), r, 0, "old00", set)))
	if stale.Error() != "machine sky-a-0: incarnation old00 was replaced by aaaaa" {
		t.Errorf("got error %q", stale)
	}
	missing := wantErr[*store.NotFoundError](t, second(w.UpdateMachine(t.Context(), r, 7, "aaaaa", set)))
	if missing.Error() != `cluster "a" has no machine 7` {
		t.Errorf("got error %q", missing)
	}
	_, err = w.UpdateMachine(t.Context(), r, 0, "aaaaa",
		func(m *api.Machine) error { m.Incarnation = "other"; return nil })
	if err == nil {
		t.Error("the incarnation could be changed")
	}
	no := errors.New("no")
	if _, err = w.UpdateMachine(t.Context(), r, 0, "aaaaa", func(*api.Machine) error { return no }); err != no {
		t.Errorf("got error %v", err)
	}
	// Replaced between read and write: the change must not apply to the new incarnation.
	once := sync.OnceFunc(func() {
		_, err := w.ReserveMachines(t.Context(), r, machines("a", 1, "bbbbb"), func(api.Machine) bool { return true })
		must(t, err)
	})
	_, err = w.UpdateMachine(t.Context(), r, 0, "aaaaa",
		func(m *api.Machine) error { once(); m.State = api.MachineTerminating; return nil })
	wantErr[*store.StaleError](t, err)
	// Deleted between read and write: it must not be created again.
	_, err = w.UpdateMachine(t.Context(), r, 0, "bbbbb", func(m *api.Machine) error {
		m.State = api.MachineTerminating
		return w.DeleteCluster(t.Context(), r)
	})
	wantErr[*store.NotFoundError](t, err)
	if left := w.raw(t); len(left) != 0 {
		t.Errorf("left after delete: %v", left)
	}
}

func TestConcurrentReservesReturnSameMachines(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	results := make([][]api.Machine, 10)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			got, err := w.ReserveMachines(t.Context(), r, machines("a", 200, fmt.Sprintf("inc%02d", i)), nil)
			if err != nil {
				t.Error(err)
			}
			results[i] = got
		})
	}
	wg.Wait()
	stored, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	for i, got := range results {
		if len(got) != 200 || len(stored) != 200 || got[0].Incarnation != stored[0].Incarnation ||
			got[199].Incarnation != stored[0].Incarnation {
			t.Fatalf("attempt %d returned other machines than are stored", i)
		}
	}
}

func TestReserveReplacesOnlyAllowedMachines(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa")))
	_, err := w.UpdateMachine(t.Context(), r, 1, "aaaaa",
		func(m *api.Machine) error { m.State = api.MachineGone; return nil })
	must(t, err)
	got, err := w.ReserveMachines(t.Context(), r, machines("a", 3, "bbbbb"),
		func(m api.Machine) bool { return m.State == api.MachineGone })
	must(t, err)
	var all []string
	for _, m := range got {
		all = append(all, m.Incarnation)
	}
	if s := strings.Join(all, " "); s != "aaaaa bbbbb bbbbb" {
		t.Errorf("incarnations: %s", s)
	}
	stored, err := w.ListMachines(t.Context(), "u1")
	must(t, err)
	if fmt.Sprint(stored) != fmt.Sprint(got) {
		t.Errorf("returned %v, stored %v", got, stored)
	}
}
