package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/workflows"
)

// scheduleRetryDelay is the pause after Temporal rejected the schedule; another worker may be creating it.
const scheduleRetryDelay = 5 * time.Second

// sweepTimeout ends a sweep that makes no progress, such as one of another version that this worker cannot replay.
// Without it, the schedule would never start another sweep.
const sweepTimeout = time.Hour

// formerSchedule is the id of the schedule of an earlier version, whose work sweeps do now.
const formerSchedule = "measure"

// ensureScheduleWithRetry tries until the schedules exist. No operation depends on them, so the worker does not wait.
func ensureScheduleWithRetry(ctx context.Context, c client.Client, taskQueue string, every time.Duration,
	log *slog.Logger) {
	for {
		err := EnsureSchedule(ctx, c, taskQueue, every)
		if err == nil {
			err = EnsureSnapshotSchedule(ctx, c, taskQueue)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("could not set up the schedules of sweeps and snapshots, trying again", "in", scheduleRetryDelay,
			"error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(scheduleRetryDelay):
		}
	}
}

// EnsureSchedule creates or updates the schedule of sweeps. Sweeps that were missed while no worker ran are not made up
// for, and sweeps do not overlap. A schedule that a person paused stays paused.
func EnsureSchedule(ctx context.Context, c client.Client, taskQueue string, every time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: every / 10}
	action := &client.ScheduleWorkflowAction{
		ID: operation.SweepScheduleID, Workflow: workflows.Sweep, Args: []any{operation.SweepInput{}},
		TaskQueue:     taskQueue,
		StaticSummary: "Compare every cluster with its actual state", WorkflowExecutionTimeout: sweepTimeout,
	}
	// The first sweep resumes operations from etcd if Temporal has lost its data.
	if err := ensureSchedule(ctx, c, operation.SweepScheduleID, spec, action, every); err != nil {
		return fmt.Errorf("create the schedule of sweeps: %w", err)
	}
	err := c.ScheduleClient().GetHandle(ctx, formerSchedule).Delete(ctx)
	if missing := new(serviceerror.NotFound); err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("delete the schedule of an earlier version: %w", err)
	}
	return nil
}

// ensureSchedule creates a schedule that runs at once and then at its times, or updates it.
func ensureSchedule(ctx context.Context, c client.Client, id string, spec client.ScheduleSpec,
	action *client.ScheduleWorkflowAction, every time.Duration) error {
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: spec, Action: action, CatchupWindow: every, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		TriggerImmediately: true,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return c.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			s := in.Description.Schedule
			s.Spec, s.Action = &spec, action
			if s.Policy != nil {
				s.Policy.CatchupWindow = every
			}
			return &client.ScheduleUpdate{Schedule: &s}, nil
		},
	})
}
