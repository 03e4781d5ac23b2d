package workflows

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
)

// updates is an assessment that asks for the update of some Nodes.
func updates(count int) observe.Assessment {
	all := restarts(count)
	for i := range all.Actions {
		all.Actions[i].Kind = api.ActionUpdateNode
	}
	return all
}

func TestNodesAreUpdatedAtTheSameTime(t *testing.T) {
	w := newConvergeWorld(t, nil, updates(3), reached)
	var mu sync.Mutex
	var updated []int
	w.OnActivity(nodeActivities.UpdateNode, mock.Anything, mock.Anything).Return(
		func(_ context.Context, m activities.MachineRef) error {
			mu.Lock()
			defer mu.Unlock()
			updated = append(updated, m.Index)
			return nil
		})
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	slices.Sort(updated)
	if !slices.Equal(updated, []int{1, 2, 3}) || len(w.ended) != 3 || len(w.begun) != 3 {
		t.Errorf("updated %v, %d actions begun, %d ended", updated, len(w.begun), len(w.ended))
	}
}

// outdated is an assessment that asks for the replacement of a machine whose pool has another machine spec.
func outdated() observe.Assessment {
	all := restart(1)
	a := &all.Actions[0]
	a.Kind, a.Pool, a.Reason = api.ActionReplace, api.DefaultPool, api.DriftMachineOutdated
	a.HasNode, a.Orderly, a.Outdated = true, true, true
	return all
}

func TestOutdatedMachineGetsAnotherPlacement(t *testing.T) {
	w := newConvergeWorld(t, nil, outdated(), reached)
	w.RegisterActivity(&machines.Activities{})
	there, larger := api.Placement{Cloud: "there"}, &api.MachineSpec{CPUs: "4+"}
	var did []string
	note := func(what string) { did = append(did, what) }
	w.OnActivity(machineActivities.PlanPool, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in machines.PlanPoolInput) (machines.PoolPlan, error) {
			note("plan " + in.Pool)
			return machines.PoolPlan{Placements: []api.Placement{there}, Asked: &api.PoolMachines{Machine: *larger}},
				nil
		})
	w.OnActivity(nodeActivities.DrainMachine, mock.Anything, mock.Anything).Return(
		func(context.Context, nodes.DrainMachineInput) error { note("drain"); return nil })
	w.OnActivity(machineActivities.Terminate, mock.Anything, mock.Anything).Return(
		func(context.Context, machines.TerminateInput) error { note("terminate"); return nil })
	w.OnActivity(nodeActivities.ForgetNode, mock.Anything, mock.Anything).Return(nil)
	w.OnActivity(machineActivities.RepositionMachine, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in machines.RepositionInput) (activities.MachineRef, error) {
			note("reserve for " + in.Spec.CPUs + " on " + in.Placement.Cloud)
			return in.Machine, nil
		})
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(did, ", "); got != "plan default, drain, terminate, reserve for 4+ on there" {
		t.Errorf("did: %s", got)
	}
}

// TestOutdatedMachineThatIsNotTerminatedTakesPodsAgain fails after the drain: the person may call the change off, and
// then nothing else makes the Node schedulable.
func TestOutdatedMachineThatIsNotTerminatedTakesPodsAgain(t *testing.T) {
	w := newConvergeWorld(t, nil, outdated(), reached)
	w.RegisterActivity(&machines.Activities{})
	w.OnActivity(machineActivities.PlanPool, mock.Anything, mock.Anything).Return(
		machines.PoolPlan{Placements: []api.Placement{{}}}, nil)
	w.OnActivity(nodeActivities.DrainMachine, mock.Anything, mock.Anything).Return(nil)
	w.OnActivity(machineActivities.Terminate, mock.Anything, mock.Anything).Return(
		activities.MakeFinal(activities.StepError(t.Context(), "terminate", "", errors.New("the cloud refuses"))))
	uncordoned := 0
	w.OnActivity(nodeActivities.UncordonNode, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.MachineRef) error { uncordoned++; return nil })
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 1 || !strings.Contains(w.ended[0].Error, "the cloud refuses") || uncordoned != 1 {
		t.Errorf("ended %+v, uncordoned %d times", w.ended, uncordoned)
	}
}

func TestOutdatedMachineStaysIfThereIsNoPlaceForAnother(t *testing.T) {
	w := newConvergeWorld(t, nil, outdated(), reached)
	w.RegisterActivity(&machines.Activities{})
	w.OnActivity(machineActivities.PlanPool, mock.Anything, mock.Anything).Return(machines.PoolPlan{},
		activities.MakeFinal(activities.StepError(t.Context(), "find a placement", "", errors.New("none fits"))))
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 1 || !strings.Contains(w.ended[0].Error, "none fits") {
		t.Errorf("ended %+v", w.ended)
	}
}
