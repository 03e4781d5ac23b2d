package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// launchedWith records with which CPUs all workers were launched, and requests others of their pool.
func (s *scene) launchedWith(was, wanted string) {
	s.c.Spec.Pools[0].Machine.CPUs = wanted
	for i := range s.c.Status.Machines {
		s.c.SetWanted(s.record(i), &api.MachineSpec{CPUs: was})
	}
}

func TestOutdatedMachinesAreReplaced(t *testing.T) {
	old := func(more func(*scene)) func(*scene) {
		return func(s *scene) {
			s.launchedWith("2+", "4+")
			if more != nil {
				more(s)
			}
		}
	}
	hold(t, []rule{
		{"one after another", old(nil), "Replace sky-x-1",
			"sky-x-2 MachineOutdated: it is replaced once enough other machines of its pool are Ready (see " +
				"max_unavailable)", ""},
		{"two at a time", old(func(s *scene) { s.c.Spec.Pools[0].MaxUnavailable = 2 }),
			"Replace sky-x-1, Replace sky-x-2", "", ""},
		{"together with one that a person named", old(func(s *scene) {
			s.c.Spec.Pools[0].MaxUnavailable = 2
			s.record(3).ReplaceAsked = true
			s.running(api.ActionReplace, 3)
		}), "Replace sky-x-1", "sky-x-3 ReplaceAsked: it is being replaced", ""},
		{"that a person named, within the limit too if the cloud's list is out of date", func(s *scene) {
			for _, i := range []int{1, 2} {
				s.record(i).ReplaceAsked = true
				s.unlist(i)
			}
		}, "Replace sky-x-1", "", ""},
		{"while another one does not work", old(func(s *scene) { s.notReady(2, time.Minute) }), "",
			"sky-x-2 NodeNotReady: RKE2 is restarted at 12:05:00Z if it is not Ready by then", ""},
		{"while the successor of one comes up", old(func(s *scene) {
			s.fresh(1, api.MachineUp)
			s.record(1).Replacement = true
			s.record(1).Spec.CPUs = "4+"
		}), "BringUp sky-x-1", "", ""},
		{"while the API is silent", old(func(s *scene) { s.silent(); s.unit(0, "active") }), "",
			"APISilent: the head is checked; no action on workers until it answers", ""},
		{"the same value in another spelling", func(s *scene) {
			s.launchedWith("2+", "2+")
			s.c.Spec.Pools[0].Machine.Accelerators = "A100"
			s.record(1).Spec.Accelerators, s.record(2).Spec.Accelerators = "A100:1", "A100"
			s.record(3).Spec.Accelerators = "A100:1"
		}, "", "", ""},
		{"another limit of the price", func(s *scene) {
			s.launchedWith("2+", "2+")
			s.c.Spec.Pools[0].Machine.MaxHourlyCost = 3
		}, "", "", ""},
		{"records of older versions", func(s *scene) { s.c.Spec.Pools[0].Machine.CPUs = "4+" }, "", "", ""},
		{"the server", func(s *scene) {
			s.c.SetWanted(s.record(0), &api.MachineSpec{CPUs: "2+"})
			s.c.Spec.ControlPlane.Machine.CPUs = "4+"
		}, "", "", ""},
		{"paused", old(func(s *scene) { s.c.Status.PausedAt = noon }), "",
			"sky-x-1 MachineOutdated: no action: repairs are paused", ""},
		{"gone by itself", old(func(s *scene) {
			s.gone(2)
		}), "Replace sky-x-2", "sky-x-2 MachineGone: it is replaced", ""},
		{"a failure for the same spec", old(func(s *scene) {
			s.outdatedRepair("cpus is 2+, should be 4+", 1)
		}), "", "sky-x-1 MachineOutdated: it is replaced at 12:04:00Z (back-off after a recent attempt)", ""},
		{"gone after failures to replace it", old(func(s *scene) {
			for range 4 {
				s.outdatedRepair("cpus is 2+, should be 4+", 1)
			}
			s.gone(1)
		}), "Replace sky-x-1", "sky-x-1 MachineGone: it is replaced", ""},
		{"a failure for another spec", old(func(s *scene) { s.outdatedRepair("cpus is 2+, should be 8+", 1) }),
			"Replace sky-x-1", "", ""},
	})
}

// outdatedRepair records that the replacement of a machine has failed just now.
func (s *scene) outdatedRepair(why string, i int) {
	for j := range s.c.Status.Machines[1:] {
		if j+1 != i { // only this one is left
			s.record(j + 1).Spec = &s.c.Spec.Pools[0].Machine
		}
	}
	s.repaired(api.ActionReplace, i, 2*time.Minute, "no such machines")
	a := &s.c.Status.Repairs[len(s.c.Status.Repairs)-1].Action
	a.Reason, a.Message = api.DriftMachineOutdated, why
}

func TestOutdatedMachinesThatWereNeverReadyMakeRoom(t *testing.T) {
	// The others have the spec of their pool.
	added := func(st api.MachineState, more func(*scene)) func(*scene) {
		return func(s *scene) {
			s.launchedWith("4+", "4+")
			s.fresh(1, st)
			s.record(1).Spec.CPUs = "2+"
			if more != nil {
				more(s)
			}
		}
	}
	hold(t, []rule{
		{"reserved", added(api.MachineReserved, nil), "Remove sky-x-1", "sky-x-1 MachineSurplus: it is removed", ""},
		{"up", added(api.MachineUp, nil), "Remove sky-x-1", "", ""},
		{"being brought up", added(api.MachineUp, func(s *scene) { s.running(api.ActionBringUp, 1) }), "",
			"sky-x-1 MachineSurplus: it is removed once its BringUp has stopped", ""},
		{"being removed", added(api.MachineTerminating, func(s *scene) {
			s.record(1).Leaving = api.LeaveOutdated
			s.running(api.ActionRemove, 1)
		}), "", "sky-x-1 MachineSurplus: it is being removed", ""},
		{"a replacement that is not launched yet", added(api.MachineReserved, func(s *scene) {
			s.record(1).Replacement = true
		}), "Replace sky-x-1", "sky-x-1 MachineOutdated: it is replaced", ""},
	})
}

func TestUnwantedReplacementsStop(t *testing.T) {
	stops := func(change func(*scene)) int {
		s := newScene(3)
		s.launchedWith("2+", "2+")
		s.running(api.ActionReplace, 1)
		s.w.InFlight[0].Reason = api.DriftMachineOutdated
		change(s)
		return len(check(t, s).Stop)
	}
	for name, tt := range map[string]struct {
		change func(*scene)
		want   int
	}{
		"the spec is as before": {func(*scene) {}, 1},
		"a third spec":          {func(s *scene) { s.c.Spec.Pools[0].Machine.CPUs = "8+" }, 0},
		"it is ending":          {func(s *scene) { s.record(1).State = api.MachineTerminating }, 0},
		"a person wants that":   {func(s *scene) { s.record(1).ReplaceAsked = true }, 0},
		"for another reason":    {func(s *scene) { s.w.InFlight[0].Reason = api.DriftUnitDead }, 0},
	} {
		if got := stops(tt.change); got != tt.want {
			t.Errorf("%s: %d stopped, want %d", name, got, tt.want)
		}
	}
}

func TestNodesAreUpdated(t *testing.T) {
	labels := func(change func(*scene)) func(*scene) {
		return func(s *scene) {
			for i := range s.c.Status.Machines {
				s.c.SetWanted(s.record(i), nil)
			}
			change(s)
		}
	}
	// Somebody removes the label of a Node again and again.
	updated := func(times int, outcome string) func(*scene) {
		return labels(func(s *scene) {
			s.node(2, func(n *plan.Node) { n.Labels = map[string]string{"a": "b"} })
			for range times {
				s.repaired(api.ActionUpdateNode, 2, time.Minute, outcome)
				a := &s.c.Status.Repairs[len(s.c.Status.Repairs)-1].Action
				a.Reason = api.DriftNodeOutdated
				a.Message = "its Node has label " + api.NodeLabelPool + "=unset, should have default"
			}
		})
	}
	hold(t, []rule{
		{"labels of the cluster reach servers too", labels(func(s *scene) {
			s.c.Metadata.Labels = map[string]string{"team": "vision"}
		}), "UpdateNode sky-x-0, UpdateNode sky-x-1, UpdateNode sky-x-2, UpdateNode sky-x-3",
			"sky-x-3 NodeOutdated: its Node is updated", ""},
		{"older records have no labels of the cluster", func(s *scene) {
			s.c.Metadata.Labels = map[string]string{"team": "vision"}
		}, "UpdateNode sky-x-0, UpdateNode sky-x-1, UpdateNode sky-x-2, UpdateNode sky-x-3", "", ""},
		{"keys that people may not set", func(s *scene) {
			s.c.Metadata.Labels = map[string]string{"kubernetes.io/role": "x"}
		}, "", "", ""},
		{"a taint of a pool", labels(func(s *scene) {
			s.c.Spec.Pools[0].Taints = []string{"a=b:NoSchedule"}
		}), "UpdateNode sky-x-1, UpdateNode sky-x-2, UpdateNode sky-x-3", "", ""},
		{"a label that somebody removed", labels(func(s *scene) {
			s.node(2, func(n *plan.Node) { n.Labels = map[string]string{"a": "b"} })
		}), "UpdateNode sky-x-2", "sky-x-2 NodeOutdated: its Node is updated", ""},
		{"labels of others", labels(func(s *scene) {
			s.node(2, func(n *plan.Node) { n.Labels = map[string]string{"a": "b", api.NodeLabelPool: "default"} })
		}), "", "", ""},
		{"a Node that is not Ready", labels(func(s *scene) {
			s.c.Spec.Pools[0].Labels = map[string]string{"tier": "low"}
			s.notReady(2, time.Minute)
		}), "UpdateNode sky-x-1, UpdateNode sky-x-3", "", ""},
		{"before the machine is replaced", func(s *scene) {
			s.launchedWith("2+", "4+")
			s.c.Spec.Pools[0].Labels = map[string]string{"tier": "low"}
		}, "UpdateNode sky-x-1, UpdateNode sky-x-2, UpdateNode sky-x-3",
			"sky-x-1 MachineOutdated: it is replaced after its Node is updated", ""},
		{"to what they had a minute ago", updated(4, ""), "UpdateNode sky-x-2",
			"sky-x-2 NodeOutdated: its Node is updated", ""},
		{"to the same again and again", updated(5, ""), "",
			"sky-x-2 NodeOutdated: its Node is updated at 12:05:00Z (back-off after a recent attempt)", ""},
		{"after a failure", updated(1, "no answer"), "",
			"sky-x-2 NodeOutdated: its Node is updated at 12:05:00Z (back-off after a recent attempt)", ""},
		{"without the keys for it", labels(func(s *scene) {
			s.c.Spec.Pools[0].Labels = map[string]string{"tier": "low"}
			s.w.KeysMissing = []string{"ssh-key"}
		}), "RestoreKeys", "", ""},
	})
}

// TestUpdateWithALongReasonPausesAfterAFailure changes so many labels that the record of the failure has not all of
// them.
func TestUpdateWithALongReasonPausesAfterAFailure(t *testing.T) {
	s := newScene(2)
	s.c.Metadata.Labels = map[string]string{}
	for i := range 40 {
		s.c.Metadata.Labels[fmt.Sprintf("label-number-%d", i)] = "value"
	}
	for _, a := range check(t, s).Actions {
		id := fmt.Sprint(a.Index)
		s.c.Status.BeginRepair(api.Repair{ID: id, Action: a, At: s.w.At.Add(-time.Minute)})
		s.c.Status.EndRepair(id, "it failed", s.w.At)
	}
	if d := check(t, s); len(s.c.Status.Repairs) != 2 || len(d.Actions) > 0 {
		t.Errorf("%d repairs have failed, and at once follow: %s", len(s.c.Status.Repairs), actions(d))
	}
}

func TestUpdatesAreUnderWay(t *testing.T) {
	s := newScene(4)
	s.launchedWith("2+", "4+")
	if d := check(t, s); d.Converged || d.Doing != "replacing 3" {
		t.Errorf("converged %v, %s", d.Converged, d.Doing)
	}
	s = newScene(4)
	s.c.Metadata.Labels = map[string]string{"team": "vision"}
	if d := check(t, s); d.Converged || d.Doing != "updating 4 nodes" ||
		d.Drift[1].Message != "label team is unset, should be vision" {
		t.Errorf("converged %v, %s: %v", d.Converged, d.Doing, d.Drift)
	}
}

func TestStepsOfAnUpdate(t *testing.T) {
	s := newScene(4)
	s.launchedWith("2+", "2+")
	s.fresh(3, api.MachineReserved)
	for i := range s.c.Status.Machines {
		s.record(i).Placement.PricePerMachine = 2
	}
	after := s.clone()
	after.Spec.Pools[0].Machine.CPUs, after.Metadata.Labels = "4+", map[string]string{"team": "vision"}
	steps := plan.ChangeSteps(s.c, after, s.w, map[string]float64{"default": 3})
	const want = "AddMachines default+1 $3, Remove sky-x-3 $2, Replace sky-x-1 $2, Replace sky-x-2 $2, " +
		"UpdateNode +1 $2, UpdateNode default+2 $4"
	if got := formatSteps(steps); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if steps[2].Why != "cpus is 2+, should be 4+" || steps[5].Why != "label team is unset, should be vision" {
		t.Errorf("%+v", steps)
	}
	if got := plan.PricePerHour(after, map[string]float64{"default": 3}); got != 11 {
		t.Errorf("$%g per hour", got)
	}
	if again := plan.ChangeSteps(after, after, s.w, nil); len(again) > 0 {
		t.Errorf("the same again: %s", formatSteps(again))
	}
}

// TestOneSpecIsReachedFromAnother changes a cluster, while actions run and fail, to the spec of another one.
func TestOneSpecIsReachedFromAnother(t *testing.T) {
	did, gaveUp := map[string]int{}, 0
	forEach(t, func(seed uint64) error {
		if seed%5 != 0 {
			return nil
		}
		f, other := newFlow(seed), newFlow(seed+1)
		f.fails = []float64{0, 0.1}[seed/5%2]
		f.crashes = f.fails / 10
		for range rand.New(rand.NewPCG(seed, 7)).IntN(30) {
			if f.chance(0.1) && len(f.c.Spec.Pools) > 0 {
				f.changeMachinesAndNodes()
				f.c.Metadata.Generation++
			}
			if _, err := f.step(); err != nil {
				return err
			}
		}
		f.c.Metadata.Generation++
		wanted := &api.Cluster{Metadata: f.c.Metadata, Spec: other.c.Spec}
		wanted.Metadata.Labels = f.newLabels()
		for _, p := range f.c.Spec.Pools {
			if wanted.Spec.FindPool(p.Name) == nil { // machines of pools that are gone would delay a pool of the name
				wanted.Spec.Pools = append(wanted.Spec.Pools, p)
			}
		}
		if err := f.c.ChangeTo(wanted.Spec, wanted.Metadata.Labels, f.now); err != nil {
			return err
		}
		d, err := f.run(0, 2000)
		switch {
		case err != nil:
			return err
		case d.Fail != nil:
			gaveUp++
			return nil
		}
		if differ := api.CompareClusters(f.c, wanted); len(differ) > 0 {
			return fmt.Errorf("it has become another spec: %v", differ)
		}
		for kind, n := range f.seen {
			did[kind] += n
		}
		f.fails, f.crashes = 0, 0
		return f.checkUpdates()
	})
	for _, kind := range []string{"Replace MachineOutdated", "Remove MachineSurplus", "AddMachines MachineMissing",
		"UpdateNode NodeOutdated"} {
		if did[kind] < worlds/20 {
			t.Errorf("%s was requested only %d times", kind, did[kind])
		}
	}
	if gaveUp > worlds/5/10 {
		t.Errorf("gave up in %d of %d worlds", gaveUp, worlds/5)
	}
}
