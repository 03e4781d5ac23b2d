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

// scheduleRetryDelay is how long to wait after Temporal refused the schedule: another worker may just be making it.
const scheduleRetryDelay = 5 * time.Second

// sweepTimeout ends a sweep that stands still, as one does that a worker of another version has begun and this one
// can't follow: no other would be started beside it, for good.
const sweepTimeout = time.Hour

// formerSchedule measured clusters before sweeps did.
const formerSchedule = "measure"

// ensureScheduleWithRetry tries until the schedule stands. No operation depends on it, so nobody waits for it.
func ensureScheduleWithRetry(ctx context.Context, c client.Client, taskQueue string, every time.Duration,
	log *slog.Logger) {
	for {
		err := ensureSchedule(ctx, c, taskQueue, every)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("trying again", "in", scheduleRetryDelay, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(scheduleRetryDelay):
		}
	}
}

// ensureSchedule makes sure that clusters are swept at intervals. What was missed while no worker ran is not made up
// for, and a sweep that takes longer than the interval is not joined by another. Whoever paused the schedule finds it
// paused.
func ensureSchedule(ctx context.Context, c client.Client, taskQueue string, every time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: every / 10}
	action := &client.ScheduleWorkflowAction{
		ID: operation.SweepScheduleID, Workflow: workflows.Sweep, Args: []any{operation.SweepInput{}},
		TaskQueue:     taskQueue,
		StaticSummary: "Compare every cluster with the world", WorkflowExecutionTimeout: sweepTimeout,
	}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: operation.SweepScheduleID, Spec: spec, Action: action, CatchupWindow: every,
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		// a Temporal that is new knows nothing of what is under way: the first sweep takes it up from etcd
		TriggerImmediately: true,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = c.ScheduleClient().GetHandle(ctx, operation.SweepScheduleID).Update(ctx, client.ScheduleUpdateOptions{
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
	if err != nil {
		return fmt.Errorf("schedule the sweeps: %w", err)
	}
	err = c.ScheduleClient().GetHandle(ctx, formerSchedule).Delete(ctx)
	if missing := new(serviceerror.NotFound); err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("take away the schedule of an earlier version: %w", err)
	}
	return nil
}
