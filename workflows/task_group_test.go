package workflows

import (
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// runTaskWorkflow runs a function as a workflow, in an environment that skips time.
func runTaskWorkflow(t *testing.T, run func(workflow.Context) error) {
	t.Helper()
	env := newEnvironment()
	env.ExecuteWorkflow(run)
	if err := env.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

func TestTaskGroupRunsAtMostLimitTasksAtOnce(t *testing.T) {
	runTaskWorkflow(t, func(ctx workflow.Context) error {
		running, most := 0, 0
		group := newTaskGroup(ctx, 3)
		for range 10 {
			group.startTask(ctx, func(ctx workflow.Context) error {
				running++
				defer func() { running-- }()
				most = max(most, running)
				return workflow.Sleep(ctx, time.Second)
			})
		}
		err := group.awaitTasks(ctx)
		if most != 3 || running != 0 {
			t.Errorf("%d tasks ran at once, want 3; %d were left", most, running)
		}
		return err
	})
}

func TestTaskGroupReturnsFirstErrorAfterAllTasks(t *testing.T) {
	runTaskWorkflow(t, func(ctx workflow.Context) error {
		first, ended := errors.New("first"), 0
		group := newTaskGroup(ctx, 0)
		for i, err := range []error{nil, errors.New("second"), first} {
			group.startTask(ctx, func(ctx workflow.Context) error {
				defer func() { ended++ }()
				if sleep := workflow.Sleep(ctx, time.Duration(3-i)*time.Second); sleep != nil {
					return sleep
				}
				return err
			})
		}
		if err := group.awaitTasks(ctx); err != first || ended != 3 {
			t.Errorf("got %v after %d tasks, want %v after 3", err, ended, first)
		}
		return nil
	})
}

func TestStoppingTaskGroupCancelsTasksAtFirstError(t *testing.T) {
	runTaskWorkflow(t, func(ctx workflow.Context) error {
		first := errors.New("first")
		var other error
		group, work := newStoppingTaskGroup(ctx, 0)
		group.startTask(work, func(ctx workflow.Context) error {
			other = workflow.Sleep(ctx, time.Hour)
			return other
		})
		group.startTask(work, func(workflow.Context) error { return first })
		if err := group.awaitTasks(ctx); err != first || !temporal.IsCanceledError(other) {
			t.Errorf("got %v and %v, want %v and a cancellation", err, other, first)
		}
		return nil
	})
}

func TestTaskGroupWaitsForTasksOfACancelledWorkflow(t *testing.T) {
	runTaskWorkflow(t, func(ctx workflow.Context) error {
		work, cancel := workflow.WithCancel(ctx)
		ended := false
		group := newTaskGroup(work, 0)
		group.startTask(work, func(ctx workflow.Context) error {
			uncancelled, _ := workflow.NewDisconnectedContext(ctx)
			defer func() { ended = true }()
			return workflow.Sleep(uncancelled, time.Minute)
		})
		cancel()
		if err := group.awaitTasks(work); err != nil || !ended {
			t.Errorf("got %v, ended: %t, want no error from an ended task", err, ended)
		}
		return nil
	})
}
