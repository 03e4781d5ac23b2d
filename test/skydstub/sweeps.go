package skydstub

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (w *World) registerSweeps(wk worker.Registry) {
	wk.RegisterWorkflowWithOptions(w.runSweep, workflow.RegisterOptions{Name: operation.WorkflowSweep})
	wk.RegisterWorkflowWithOptions(w.runOrphans, workflow.RegisterOptions{Name: operation.WorkflowOrphans})
	wk.RegisterWorkflowWithOptions(w.runAdopt, workflow.RegisterOptions{Name: operation.WorkflowAdopt})
	wk.RegisterActivityWithOptions(w.playAdopt, activity.RegisterOptions{Name: "playAdopt"})
	wk.RegisterWorkflowWithOptions(w.runRepair, workflow.RegisterOptions{Name: operation.WorkflowRepair})
	wk.RegisterActivityWithOptions(w.playSweep, activity.RegisterOptions{Name: "playSweep"})
	wk.RegisterActivityWithOptions(w.playOrphans, activity.RegisterOptions{Name: "playOrphans"})
	wk.RegisterActivityWithOptions(w.playRepair, activity.RegisterOptions{Name: "playRepair"})
}

func (w *World) runSweep(ctx workflow.Context, in operation.SweepInput) (operation.SweepResult, error) {
	var r operation.SweepResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playSweep", in).Get(ctx, &r)
	return r, err
}

func (w *World) runOrphans(ctx workflow.Context, in operation.OrphansInput) (operation.OrphansResult, error) {
	var r operation.OrphansResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playOrphans", in).Get(ctx, &r)
	return r, err
}

func (w *World) runAdopt(ctx workflow.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	var r operation.AdoptResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playAdopt", in).Get(ctx, &r)
	return r, err
}

// playAdopt returns an empty result without a behavior.
func (w *World) playAdopt(_ context.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	if p := w.behaviorOf("").Adopt; p != nil {
		return p(in), nil
	}
	return operation.AdoptResult{}, nil
}

func (w *World) runRepair(ctx workflow.Context, in operation.RepairInput) error {
	return workflow.ExecuteActivity(withActivityOptions(ctx), "playRepair", in).Get(ctx, nil)
}

// playSweep finds no drift without a behavior.
func (w *World) playSweep(ctx context.Context, in operation.SweepInput) (operation.SweepResult, error) {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	for _, name := range []string{in.Cluster, ""} {
		if p := w.behaviorOf(name).Sweep; p != nil {
			return p(ctx, w, in)
		}
	}
	all, err := w.Store.ListClusters(ctx)
	if in.Cluster != "" {
		return operation.SweepResult{Looked: 1}, err
	}
	return operation.SweepResult{Looked: len(all)}, err
}

func (w *World) playOrphans(ctx context.Context, in operation.OrphansInput) (operation.OrphansResult, error) {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf("").Orphans; p != nil {
		return p(ctx, w, in)
	}
	return operation.OrphansResult{}, nil
}

func (w *World) playRepair(ctx context.Context, in operation.RepairInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Repair; p != nil {
		return p(ctx, w, in)
	}
	_, err := w.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "Repaired", time.Now().UTC())
		c.Status.Drift = nil
		return nil
	})
	return err
}

// StartRepair starts a repair of a cluster, as a sweep does.
func (w *World) StartRepair(ctx context.Context, ref api.Ref, again bool) error {
	return start.Operation(ctx, w.Temporal, w.Config.Temporal.TaskQueue, ref.Name, operation.WorkflowRepair,
		"Repair "+ref.Name,
		operation.RepairInput{Cluster: ref, Again: again})
}

// CreateSchedule creates the schedule of sweeps until the test ends. No sweep runs on it during a test.
func (w *World) CreateSchedule(t testing.TB) client.ScheduleHandle {
	t.Helper()
	h, err := w.Temporal.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
		ID:   operation.SweepScheduleID,
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 24 * time.Hour}}},
		Action: &client.ScheduleWorkflowAction{ID: operation.SweepScheduleID, Workflow: operation.WorkflowSweep,
			Args:      []any{operation.SweepInput{}},
			TaskQueue: w.Config.Temporal.TaskQueue},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
		defer cancel()
		if err := h.Delete(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}
