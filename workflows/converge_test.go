package workflows

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// convergeWorld runs Converge against assessments that a test gives, one for each round; the last one is repeated.
type convergeWorld struct {
	*testsuite.TestWorkflowEnvironment
	rounds []observe.Assessment
	// assessTakes is how long each observation takes on the workflow's clock.
	assessTakes time.Duration
	inputs      []observe.AssessInput
	begun       []record.RepairEntry
	ended       []record.RepairEntry
}

// reached is the assessment of a cluster that needs nothing.
var reached = observe.Assessment{Reached: true, MayAct: true}

// restart is an assessment that asks for the restart of RKE2 on a machine.
func restart(index int) observe.Assessment {
	m := activities.MachineRef{Cluster: ref, Index: index, Name: api.MachineName(ref.Name, index), Incarnation: "aaaaa",
		Role: api.RoleWorker, Pool: api.DefaultPool}
	return observe.Assessment{MayAct: true, Actions: []observe.RepairAction{{On: m, Action: api.Action{
		Kind: api.ActionRestart, Index: index, Machine: m.Name, Incarnation: m.Incarnation}}}}
}

// newConvergeWorld returns a world in which restarts do what a function does; with nil, the test says what they do.
func newConvergeWorld(t *testing.T, restarts func(context.Context, activities.MachineRef) error,
	rounds ...observe.Assessment) *convergeWorld {
	t.Helper()
	w := &convergeWorld{TestWorkflowEnvironment: newEnvironment(), rounds: rounds}
	w.RegisterWorkflow(Converge)
	w.RegisterWorkflow(Delete)
	w.RegisterActivity(&record.Activities{})
	w.RegisterActivity(&nodes.Activities{})
	w.RegisterActivity(&observe.Activities{})
	w.OnActivity(clusterActivities.BeginActions, mock.Anything, mock.Anything).Return(
		func(_ context.Context, entries []record.RepairEntry) error {
			w.begun = append(w.begun, entries...)
			return nil
		}).Maybe()
	w.OnActivity(clusterActivities.EndActions, mock.Anything, mock.Anything).Return(
		func(_ context.Context, entries []record.RepairEntry) error {
			w.ended = append(w.ended, entries...)
			return nil
		}).Maybe()
	if restarts != nil {
		w.OnActivity(nodeActivities.Restart, mock.Anything, mock.Anything).Return(restarts).Maybe()
	}
	return w
}

func (w *convergeWorld) run(t *testing.T) error {
	t.Helper()
	w.OnActivity(sweepActivities.Assess, mock.Anything, mock.Anything).After(w.assessTakes).Return(
		func(_ context.Context, in observe.AssessInput) (observe.Assessment, error) {
			w.inputs = append(w.inputs, in)
			return w.rounds[min(len(w.inputs), len(w.rounds))-1], nil
		})
	w.ExecuteWorkflow(Converge, operation.ConvergeInput{Cluster: ref})
	if !w.IsWorkflowCompleted() {
		t.Fatal("the operation has not ended")
	}
	return w.GetWorkflowError()
}

func TestConvergeEndsOnceTheGenerationIsReached(t *testing.T) {
	unreached := observe.Assessment{MayAct: true, NextAt: time.Time{}}
	w := newConvergeWorld(t, nil, unreached, unreached, reached)
	if err := w.run(t); err != nil || len(w.inputs) != 3 {
		t.Errorf("%v after %d observations", err, len(w.inputs))
	}
}

func TestConvergeDoesNotWaitForWhatIsPaused(t *testing.T) {
	w := newConvergeWorld(t, nil, observe.Assessment{})
	if err := w.run(t); err != nil || len(w.inputs) != 1 {
		t.Errorf("%v after %d observations", err, len(w.inputs))
	}
}

func TestRunningActionIsPartOfTheNextObservation(t *testing.T) {
	both := restart(1)
	both.Actions = append(both.Actions, restart(2).Actions...) // a planner that asks twice gets one action
	w := newConvergeWorld(t, nil, restart(1), both, reached)
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, time.Second)
	w.OnActivity(nodeActivities.Restart, mock.Anything, mock.MatchedBy(func(m activities.MachineRef) bool {
		return m.Index == 1
	})).After(time.Minute / 2).Return(nil)
	w.OnActivity(nodeActivities.Restart, mock.Anything, mock.Anything).Return(nil)
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	var kinds []int
	for _, e := range w.begun {
		kinds = append(kinds, e.Action.Index)
	}
	if !slices.Equal(kinds, []int{1, 2}) {
		t.Errorf("actions on %v", kinds)
	}
	if len(w.inputs) < 2 || len(w.inputs[1].InFlight) != 1 || w.inputs[1].InFlight[0].Index != 1 {
		t.Errorf("observations %+v", w.inputs)
	}
}

func TestChangeDuringTheLastObservationIsNotLost(t *testing.T) {
	w := newConvergeWorld(t, nil, reached)
	w.assessTakes = 10 * time.Second
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, 5*time.Second)
	if err := w.run(t); err != nil || len(w.inputs) != 2 {
		t.Errorf("%v after %d observations", err, len(w.inputs))
	}
}

func TestFailedActionIsOnRecordAndNoFailure(t *testing.T) {
	w := newConvergeWorld(t, func(context.Context, activities.MachineRef) error {
		return temporal.NewNonRetryableApplicationError("no route", "Refused", nil)
	}, restart(1), reached)
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 1 || w.ended[0].Error != "no route" || w.ended[0].ID != w.begun[0].ID {
		t.Errorf("%+v", w.ended)
	}
}

func TestStoppedActionEndsAndIsNoFailure(t *testing.T) {
	stop := observe.Assessment{MayAct: true, Stop: []api.Action{restart(1).Actions[0].Action}}
	w := newConvergeWorld(t, func(ctx context.Context, _ activities.MachineRef) error {
		<-ctx.Done()
		return ctx.Err()
	}, restart(1), stop, reached)
	w.RegisterDelayedCallback(func() { w.SignalWorkflow(operation.SignalChanged, nil) }, time.Second)
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 1 || !w.ended[0].Stopped {
		t.Errorf("%+v", w.ended)
	}
}

func TestCancelledConvergeWaitsForItsActionsAndContinuesAsDelete(t *testing.T) {
	var w *convergeWorld
	w = newConvergeWorld(t, func(ctx context.Context, _ activities.MachineRef) error {
		w.CancelWorkflow()
		<-ctx.Done()
		return ctx.Err()
	}, restart(1))
	w.OnActivity(clusterActivities.Wanted, mock.Anything, mock.Anything).Return(
		func(context.Context, api.Ref) (record.WantedState, error) {
			if len(w.ended) != 1 {
				t.Errorf("continued before its action had ended: %+v", w.ended)
			}
			return record.WantedState{Deleted: true}, nil
		})
	var next *workflow.ContinueAsNewError
	if err := w.run(t); !errors.As(err, &next) || next.WorkflowType.Name != operation.WorkflowDelete {
		t.Errorf("got %v", err)
	}
}

func TestFailedObservationDoesNotEndARunWithActions(t *testing.T) {
	w := newConvergeWorld(t, nil, restart(1), restart(2), reached)
	w.OnActivity(nodeActivities.Restart, mock.Anything, restart(1).Actions[0].On).After(25 * time.Minute).Return(nil)
	w.OnActivity(nodeActivities.Restart, mock.Anything, restart(2).Actions[0].On).Return(nil)
	failed := false
	w.OnActivity(sweepActivities.Assess, mock.Anything, mock.MatchedBy(func(in observe.AssessInput) bool {
		again := !failed && len(in.InFlight) == 1
		failed = failed || again
		return again
	})).Return(observe.Assessment{}, temporal.NewNonRetryableApplicationError("etcd is silent", "EtcdUnavailable", nil))
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if !failed || len(w.ended) != 2 || w.ended[0].Action.Index != 2 {
		t.Errorf("failed %v; ended %+v", failed, w.ended)
	}
}

func TestMachineThatIsStillWantedIsNotRemoved(t *testing.T) {
	remove := restart(1)
	remove.Actions[0].Kind, remove.Actions[0].HasNode = api.ActionRemove, true
	w := newConvergeWorld(t, nil, remove, reached)
	w.OnActivity(clusterActivities.MarkLeaving, mock.Anything, mock.Anything).Return(
		temporal.NewNonRetryableApplicationError("it stays", activities.ReasonStillWanted, nil))
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	if len(w.ended) != 1 || !w.ended[0].Stopped {
		t.Errorf("%+v", w.ended)
	}
}
