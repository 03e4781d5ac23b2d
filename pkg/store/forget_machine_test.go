package store_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// leave records machines that cost $2 an hour and are gone after an hour, each after an earlier one that cost $3, and a
// host key of each.
func (w world) leave(t *testing.T, r api.Ref, all []api.Machine) {
	t.Helper()
	launched := time.Unix(1000, 0).UTC()
	for i := range all {
		m := &all[i]
		m.LaunchedAt, m.SpentBefore, m.Placement.PricePerMachine = launched, 3, 2
		m.SetState(api.MachineGone, "", launched.Add(time.Hour))
		must(t, w.PutSecret(t.Context(), r, store.SecretHostKey(m.Incarnation), []byte("key")))
	}
	must(t, w.PutMachines(t.Context(), r, all))
}

func (w world) removedCost(t *testing.T, r api.Ref) float64 {
	t.Helper()
	c, err := w.ReadCluster(t.Context(), r.Name)
	must(t, err)
	return c.Status.RemovedCost
}

func TestForgetMachineKeepsItsCostOnce(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	w.leave(t, r, []api.Machine{machine("a", 1, "bbbbb"), machine("a", 2, "ccccc")})
	before, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	for range 2 {
		must(t, w.ForgetMachine(t.Context(), r, 1, "bbbbb"))
	}
	c, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if len(c.Status.Machines) != 1 || c.Status.Machines[0].Index != 2 {
		t.Errorf("machines %+v", c.Status.Machines)
	}
	now := time.Now()
	if got := c.Status.RemovedCost; math.Abs(got-5) > 1e-9 || !c.Status.RemovedCostEstimated ||
		math.Abs(c.Status.CostSoFar(now)-before.Status.CostSoFar(now)) > 1e-9 {
		t.Errorf("removed $%v, estimated %v; in all $%v, before $%v", got, c.Status.RemovedCostEstimated,
			c.Status.CostSoFar(now), before.Status.CostSoFar(now))
	}
	usable, err := w.ListUsableSecrets(t.Context(), r)
	must(t, err)
	if usable[store.SecretHostKey("bbbbb")] || !usable[store.SecretHostKey("ccccc")] {
		t.Errorf("secrets %v", usable)
	}
}

func TestForgetMachineRefusesWhatIsNotGone(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	m := machine("a", 1, "bbbbb")
	for _, s := range []api.MachineState{api.MachineReserved, api.MachineLaunching, api.MachineUp, api.MachinePrepared,
		api.MachineReady, api.MachineTerminating} {
		m.State = s
		must(t, w.PutMachines(t.Context(), r, []api.Machine{m}))
		before := w.raw(t)
		err := wantErr[*store.NotGoneError](t, w.ForgetMachine(t.Context(), r, 1, "bbbbb"))
		if want := "the record of machine sky-a-1 cannot be removed: its state is " + string(s) +
			", not Gone; terminate it first"; err.Error() != want || err.Reason() != "NotGone" || !err.Final() {
			t.Errorf("got %q", err)
		}
		if after := w.raw(t); len(after) != len(before) {
			t.Errorf("%s: something was written", s)
		}
	}
	w.leave(t, r, []api.Machine{m})
	wantErr[*store.StaleError](t, w.ForgetMachine(t.Context(), r, 1, "aaaaa"))
	wantErr[*store.NotFoundError](t, w.ForgetMachine(t.Context(), api.Ref{Name: "a", UID: "u2"}, 1, "bbbbb"))
	if cost := w.removedCost(t, r); cost != 0 {
		t.Errorf("removed $%v", cost)
	}
}

func TestMachinesForgottenAtOnceAllCount(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	const n = 20
	w.leave(t, r, machines("a", n, "aaaaa"))
	var group sync.WaitGroup
	for i := range 2 * n { // each one twice
		group.Go(func() {
			if err := w.ForgetMachine(t.Context(), r, i/2, "aaaaa"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if cost := w.removedCost(t, r); math.Abs(cost-5*n) > 1e-9 {
		t.Errorf("removed $%v", cost)
	}
}

func TestReserveNoticesAForgottenMachine(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	w.leave(t, r, []api.Machine{machine("a", 1, "bbbbb")})
	want := []api.Machine{machine("a", 1, "ccccc"), machine("a", 2, "ddddd")}
	got, err := w.ReserveMachines(t.Context(), r, want, func(m api.Machine) bool {
		must(t, w.ForgetMachine(t.Context(), r, 1, m.Incarnation)) // after the reserve has read it
		return false
	})
	must(t, err)
	if len(got) != 2 || got[0].Incarnation != "ccccc" {
		t.Errorf("it returned the forgotten machine: %+v", got)
	}
}

func TestReplaceMachineReplacesWhatIsGoneOnce(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, []api.Machine{machine("a", 1, "bbbbb"), machine("a", 2, "ddddd")}))
	to := func(incarnation string) (*api.Machine, error) {
		return w.ReplaceMachine(t.Context(), r, 1, "bbbbb", func(old api.Machine) api.Machine {
			fresh := machine("a", 1, incarnation)
			fresh.Pool = old.Pool
			return fresh
		})
	}
	set := func(s api.MachineState) {
		_, err := w.UpdateMachine(t.Context(), r, 1, "bbbbb", func(m *api.Machine) error {
			m.State, m.Pool = s, "gpu"
			return nil
		})
		must(t, err)
	}
	set(api.MachineTerminating)
	_, err := to("ccccc")
	wantErr[*store.OccupiedError](t, err)
	set(api.MachineGone)
	for _, incarnation := range []string{"ccccc", "eeeee"} {
		m, err := to(incarnation)
		must(t, err)
		if m.Incarnation != "ccccc" || m.Pool != "gpu" {
			t.Errorf("replaced by %+v", m)
		}
	}
	w.leave(t, r, []api.Machine{machine("a", 1, "ccccc")})
	must(t, w.ForgetMachine(t.Context(), r, 1, "ccccc"))
	_, err = to("eeeee")
	wantErr[*store.NotFoundError](t, err)
}
