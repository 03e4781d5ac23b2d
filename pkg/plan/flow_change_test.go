package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// worker returns a random worker that stays; nil if there is none.
func (f *flow) worker() *api.Machine {
	var found []*api.Machine
	for i := range f.c.Status.Machines {
		if m := &f.c.Status.Machines[i]; m.Role == api.RoleWorker && m.Leaving == "" {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[f.r.IntN(len(found))]
}

// changeSpec does what a person may do to a cluster.
func (f *flow) changeSpec() {
	spec := &f.c.Spec
	f.c.Metadata.Generation++
	m := f.worker()
	switch pools := len(spec.Pools); {
	case f.chance(0.1):
		f.c.Status.PausedAt = f.now
	case f.chance(0.2):
		f.c.Status.PausedAt = time.Time{}
	case pools > 0 && f.chance(0.4):
		f.changeMachinesAndNodes()
	case pools > 0 && f.chance(0.6):
		spec.Pools[f.r.IntN(pools)].Replicas = f.r.IntN(6)
	case pools > 0 && f.chance(0.2):
		i := f.r.IntN(pools)
		spec.Pools = slices.Delete(slices.Clone(spec.Pools), i, i+1)
	case f.chance(0.3):
		if pool := f.newPool(f.r.IntN(4)); spec.FindPool(pool.Name) == nil {
			spec.Pools = append(spec.Pools, pool)
		}
	case m == nil:
	case f.chance(0.6):
		m.ReplaceAsked = true
	default:
		m.Leaving = api.LeaveDeleted
		if p := spec.FindPool(m.PoolName()); p != nil && p.Replicas > 0 {
			p.Replicas--
		}
	}
}

// breakSomething does what may happen to a cluster. The head comes back by itself or by a repair.
func (f *flow) breakSomething() {
	m := f.worker()
	if m == nil {
		return
	}
	on := f.machines[m.Name]
	switch roll := f.r.IntN(13); {
	case roll == 12 && f.nodes[m.NodeName] != nil:
		f.nodes[m.NodeName].settings.Labels = map[string]string{ownLabel: ""} // a person removes the others
	case roll == 0:
		f.lags = f.r.IntN(3)
	case roll == 1:
		f.unasked = f.r.IntN(4)
	case roll == 2:
		f.blocked = f.r.IntN(8)
	case roll == 3:
		f.head.active = "failed"
	case roll == 4:
		f.noGPU, f.noKubeconfig = true, true
	case roll == 5:
		f.expire = f.now.AddDate(0, 1, 0)
	case on == nil:
	case roll == 6:
		delete(f.machines, m.Name)
	case roll == 7:
		on.stopped = true
	case roll == 8:
		on.active = "failed"
	case roll == 9:
		on.heals = f.now.Add(time.Duration(f.r.IntN(30)) * time.Minute)
	case roll == 10 && f.nodes[m.NodeName] != nil:
		f.nodes[m.NodeName].cordoned = true
	case roll == 11 && !f.isHung(): // if most are, none is replaced
		on.hung = true
	}
}

// isHung reports whether a machine hangs.
func (f *flow) isHung() bool {
	for _, m := range f.machines {
		if m.hung {
			return true
		}
	}
	return false
}

// isAsWanted compares the world with the spec.
func (f *flow) isAsWanted(d plan.Decision) error {
	if !d.Converged || d.Doing != "" || len(f.flights) > 0 || len(d.Actions) > 0 {
		return fmt.Errorf("converged is %v, doing %q, %d actions run", d.Converged, d.Doing, len(f.flights))
	}
	if !f.c.IsReachedBy(f.c.Status.Machines) || len(f.machines) != f.c.Spec.MachineCount()+1 {
		return fmt.Errorf("%d machines, %d records, want %d", len(f.machines)-1, len(f.c.Status.Machines),
			f.c.Spec.MachineCount())
	}
	for _, r := range f.c.Status.Machines {
		m, n := f.machines[r.Name], f.nodes[r.NodeName]
		if m == nil || m.incarnation != r.Incarnation || n == nil || !n.ready {
			return fmt.Errorf("%s (%s) is %+v with Node %+v", r.Name, r.State, m, n)
		}
		wanted := f.c.NodeSettings(r)
		wanted.Labels[ownLabel] = ""
		if why := n.settings.DescribeChange(wanted); why != "" {
			return fmt.Errorf("the Node of %s: %s", r.Name, why)
		}
		if p := f.c.Spec.FindPool(r.PoolName()); p != nil && m.launchedWith.CPUs != p.Machine.CPUs {
			return fmt.Errorf("%s was launched with %+v", r.Name, m.launchedWith)
		}
	}
	if len(f.nodes) != len(f.c.Status.Machines)+1 {
		return fmt.Errorf("%d Nodes of %d machines", len(f.nodes)-1, len(f.c.Status.Machines))
	}
	return nil
}

// run changes and breaks the cluster for some hours, and then waits until it is as wanted.
func (f *flow) run(disturbed, patience int) (plan.Decision, error) {
	for range disturbed {
		if f.chance(0.08) {
			f.changeSpec()
		}
		if f.chance(0.06) {
			f.breakSomething()
		}
		if d, err := f.step(); err != nil || d.Fail != nil {
			return d, err
		}
	}
	f.c.Status.PausedAt = time.Time{}
	var d plan.Decision
	for range patience {
		var err error
		if d, err = f.step(); err != nil || d.Fail != nil {
			return d, err
		}
		if f.isAsWanted(d) == nil {
			return d, nil
		}
	}
	return d, fmt.Errorf("after %d minutes: %w\ndoing %q, in flight %v\n%s", patience, f.isAsWanted(d), d.Doing,
		f.inFlight, drift(d))
}

func TestChangingClusterConverges(t *testing.T) {
	did := map[string]int{}
	stopped := 0
	forEach(t, func(seed uint64) error {
		if seed%2 != 0 {
			return nil
		}
		f := newFlow(seed)
		if _, err := f.run(40+f.r.IntN(100), 400); err != nil {
			return err
		}
		if err := f.checkUpdates(); err != nil {
			return err
		}
		for kind, n := range f.seen {
			did[kind] += n
		}
		for _, r := range f.c.Status.Repairs {
			if r.Error == "it was stopped" {
				stopped++
			}
		}
		return nil
	})
	for _, kind := range []api.ActionKind{api.ActionAddMachines, api.ActionBringUp, api.ActionRemove, api.ActionReplace,
		api.ActionRestart, api.ActionStartMachine, api.ActionGPU, api.ActionRefresh, api.ActionUpdateNode} {
		if did[string(kind)] < worlds/40 {
			t.Errorf("%s was requested only %d times", kind, did[string(kind)])
		}
	}
	if stopped < worlds/100 {
		t.Errorf("only %d actions were stopped", stopped)
	}
}

func TestChangingClusterConvergesOrFailsIfActionsFail(t *testing.T) {
	gaveUp := 0
	forEach(t, func(seed uint64) error {
		if seed%8 != 0 {
			return nil
		}
		f := newFlow(seed)
		f.fails, f.crashes = 0.15, 0.01
		d, err := f.run(40+f.r.IntN(100), 2000)
		if d.Fail != nil {
			gaveUp++
		}
		return err
	})
	if gaveUp > worlds/8/5 {
		t.Errorf("gave up in %d of %d worlds", gaveUp, worlds/8)
	}
}

// TestLackOfCapacityNeverFailsACluster lets the cloud give no machines for a day.
func TestLackOfCapacityNeverFailsACluster(t *testing.T) {
	forEach(t, func(seed uint64) error {
		if seed%80 != 0 {
			return nil
		}
		f := newFlow(seed)
		f.noCapacity = noon.Add(24 * time.Hour)
		if d, err := f.run(24*60, 400); err != nil || d.Fail != nil {
			return fmt.Errorf("%w, failure %v", err, d.Fail)
		}
		return nil
	})
}
