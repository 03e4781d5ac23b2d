package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// restarts is an assessment that asks for the restart of RKE2 on a number of machines.
func restarts(count int) observe.Assessment {
	all := observe.Assessment{MayAct: true}
	for i := range count {
		all.Actions = append(all.Actions, restart(i+1).Actions...)
	}
	return all
}

// kubeconfig is an action on the cluster as a whole.
var kubeconfig = observe.RepairAction{Action: api.Action{Kind: api.ActionWriteKubeconfig, Index: -1}}

func TestActionOnTheClusterDoesNotWaitBehindThoseOnMachines(t *testing.T) {
	all := restarts(actionsAtOnce + 1)
	all.Actions = append(all.Actions, kubeconfig)
	w := newConvergeWorld(t, nil, all, reached)
	began := w.Now()
	w.OnActivity(nodeActivities.Restart, mock.Anything, mock.Anything).After(10 * time.Minute).Return(nil)
	var after time.Duration
	w.OnActivity(nodeActivities.WriteKubeconfig, mock.Anything, mock.Anything).Return(
		func(context.Context, api.Ref) error {
			after = w.Now().Sub(began)
			return nil
		})
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if after > time.Minute {
		t.Errorf("it ran after %v", after)
	}
}

func TestManyActionsThatEndOneByOneLeadToFewObservations(t *testing.T) {
	const count = 300
	w := newConvergeWorld(t, nil, restarts(count), reached)
	for i := range count {
		w.OnActivity(nodeActivities.Restart, mock.Anything, mock.MatchedBy(func(m activities.MachineRef) bool {
			return m.Index == i+1
		})).After(time.Duration(i%actionsAtOnce+1) * 100 * time.Millisecond).Return(nil)
	}
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != count {
		t.Errorf("%d actions have ended", len(w.ended))
	}
	inputs := 0
	for _, in := range w.inputs {
		inputs += len(in.InFlight)
	}
	if inputs > 10*count {
		t.Errorf("%d observations with %d running actions in all", len(w.inputs), inputs)
	}
}

func TestNothingWaitsOnceManyActionsHaveEnded(t *testing.T) {
	many := restarts(2 * fewRunning)
	w := newConvergeWorld(t, func(context.Context, activities.MachineRef) error { return nil }, many, reached)
	began := w.Now()
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if took := w.Now().Sub(began); took >= gatherTime || len(w.ended) != len(many.Actions) {
		t.Errorf("%d actions ended, and the operation after %s", len(w.ended), took)
	}
}

func TestManyActionsThatEndSoonAfterEachOtherAreObservedTogether(t *testing.T) {
	many := restarts(2 * fewRunning)
	w := newConvergeWorld(t, nil, many, reached)
	for i, a := range many.Actions {
		takes := time.Second + time.Duration(i)*gatherTime
		if i == len(many.Actions)-1 {
			takes = time.Minute / 2 // it ends alone
		}
		w.OnActivity(nodeActivities.Restart, mock.Anything, a.On).After(takes).Return(nil)
	}
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.inputs) != 3 || len(w.inputs[1].InFlight) != 1 {
		t.Errorf("%d observations; the second with %d actions in flight, want only the last", len(w.inputs),
			len(w.inputs[1].InFlight))
	}
}

func TestNumberOfRunningActionsIsBounded(t *testing.T) {
	r := &convergeRun{}
	for i := range maxRunning - 1 {
		r.running = append(r.running, &runningAction{entry: record.RepairEntry{
			Action: restart(maxRunning + i).Actions[0].Action}})
	}
	due := restarts(3).Actions
	due = append(due, kubeconfig)
	selected := r.selectIndependent(due)
	if len(selected) != 2 || selected[0].Index != 1 || selected[1].Kind != api.ActionWriteKubeconfig {
		t.Errorf("selected %+v", selected)
	}
}

func TestLongRepairOfAClusterInErrorStaysARequestedOne(t *testing.T) {
	for _, inError := range []bool{true, false} {
		w := newConvergeWorld(t, nil, observe.Assessment{MayAct: true, InError: inError})
		w.SetContinueAsNewSuggested(true)
		w.OnActivity(sweepActivities.Assess, mock.Anything, mock.Anything).Return(w.rounds[0], nil)
		w.ExecuteWorkflow(Converge, operation.ConvergeInput{Cluster: ref, Again: true})
		if in := inputOfNextConverge(t, w.GetWorkflowError()); in.Again != inError {
			t.Errorf("in ERROR: %v; continued with %+v", inError, in)
		}
	}
}

func TestChangeThatASettledProvisionGetsIsNotLost(t *testing.T) {
	w := newWorld(t, 1, here)
	w.begun.Settled = true
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, 0)
	inputOfNextConverge(t, w.provision(t))
}

func TestChangeThatTheLastRoundOfAnOldRepairGetsIsNotLost(t *testing.T) {
	w := newConvergeWorld(t, nil, observe.Assessment{})
	w.RegisterWorkflow(Repair)
	w.OnGetVersion("converge-from-round-0", workflow.DefaultVersion,
		workflow.Version(1)).Return(workflow.DefaultVersion)
	w.OnActivity(sweepActivities.Assess, mock.Anything, mock.Anything).After(time.Second).Return(w.rounds[0], nil)
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, time.Millisecond)
	w.ExecuteWorkflow(Repair, operation.RepairInput{Cluster: ref})
	inputOfNextConverge(t, w.GetWorkflowError())
}

// inputOfNextConverge returns the input with which a run continues as Converge.
func inputOfNextConverge(t *testing.T, err error) operation.ConvergeInput {
	t.Helper()
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) || next.WorkflowType.Name != operation.WorkflowConverge {
		t.Fatalf("got %v, want the run to continue as Converge", err)
	}
	var in operation.ConvergeInput
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func TestWorkersThatAreAddedJoinAFewAtOnce(t *testing.T) {
	all := observe.Assessment{MayAct: true}
	for i := range 120 {
		a := restart(i + 1).Actions[0]
		a.Kind, a.Pool = api.ActionBringUp, []string{"a", "b"}[i%2]
		all.Actions = append(all.Actions, a)
	}
	w := newConvergeWorld(t, nil, all, reached)
	w.RegisterWorkflow(BringUp)
	w.RegisterActivity(&machines.Activities{})
	w.OnActivity(machineActivities.Submit, mock.Anything, mock.Anything).Return("", nil)
	w.OnActivity(machineActivities.Await, mock.Anything, mock.Anything).Return(nil)
	w.OnActivity(nodeActivities.Prepare, mock.Anything, mock.Anything).Return(nil)
	var joins crowd
	joins.gather(joinsAtOnce / 6 * 6) // six groups share them
	w.OnActivity(nodeActivities.Join, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.MachineRef) error {
			defer joins.enter()()
			return nil
		})
	w.OnActivity(nodeActivities.AwaitNode, mock.Anything, mock.Anything).Return(nil)
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if joins.most != joins.awaited || len(w.ended) != 120 {
		t.Errorf("%d joined at once, %d of 120 ended", joins.most, len(w.ended))
	}
}

func TestBlockedDrainsHoldUpNoOtherAction(t *testing.T) {
	all := observe.Assessment{MayAct: true}
	for i := range actionsAtOnce + 1 {
		a := restart(i + 2).Actions[0]
		a.Kind, a.HasNode = api.ActionRemove, true
		all.Actions = append(all.Actions, a)
	}
	all.Actions = append(all.Actions, restart(1).Actions...)
	w := newConvergeWorld(t, nil, all, reached)
	began := w.Now()
	w.OnActivity(clusterActivities.MarkLeaving, mock.Anything, mock.Anything).Return(nil)
	w.OnActivity(nodeActivities.DrainMachine, mock.Anything, mock.Anything).After(time.Hour).Return(
		temporal.NewNonRetryableApplicationError("held", "DrainBlocked", nil))
	var after time.Duration
	w.OnActivity(nodeActivities.Restart, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.MachineRef) error {
			after = w.Now().Sub(began)
			return nil
		})
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if after > time.Minute {
		t.Errorf("it ran after %v", after)
	}
}

func TestConvergeStopsItsActionsOnceAnotherOperationHasToRun(t *testing.T) {
	for want, tt := range map[string]struct {
		assessed observe.Assessment
		wanted   record.WantedState
	}{
		operation.WorkflowDelete: {observe.Assessment{Deleting: true}, record.WantedState{Deleted: true}},
		operation.WorkflowRestore: {observe.Assessment{Next: operation.WorkflowRestore},
			record.WantedState{Next: operation.WorkflowRestore}},
		operation.WorkflowStop: {observe.Assessment{Next: operation.WorkflowStop},
			record.WantedState{Next: operation.WorkflowStop}},
	} {
		w := newConvergeWorld(t, func(ctx context.Context, _ activities.MachineRef) error {
			<-ctx.Done()
			return ctx.Err()
		}, restart(1), tt.assessed)
		w.OnActivity(clusterActivities.Wanted, mock.Anything, mock.Anything).Return(tt.wanted, nil)
		w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, time.Second)
		var next *workflow.ContinueAsNewError
		if err := w.run(t); !errors.As(err, &next) || next.WorkflowType.Name != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if len(w.ended) != 1 || !w.ended[0].Stopped {
			t.Errorf("%+v", w.ended)
		}
	}
}
