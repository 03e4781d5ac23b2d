package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/workflows"
)

const (
	measureID = "measure"
	// measureEvery is how old what get clusters shows of a cluster's resources may be.
	measureEvery = time.Minute
)

// scheduleAgain is how long to wait after Temporal refused the schedule: another worker may just be making it.
const scheduleAgain = 5 * time.Second

// keepSchedule tries until the schedule stands. No operation depends on it, so nobody waits for it.
func keepSchedule(ctx context.Context, c client.Client, taskQueue string, log *slog.Logger) {
	for {
		err := schedule(ctx, c, taskQueue)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("trying again", "in", scheduleAgain, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(scheduleAgain):
		}
	}
}

// schedule makes sure that clusters are measured at intervals. What was missed while no worker ran is not made up for.
func schedule(ctx context.Context, c client.Client, taskQueue string) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: measureEvery}}, Jitter: measureEvery / 10}
	action := &client.ScheduleWorkflowAction{
		ID: measureID, Workflow: workflows.Measure, TaskQueue: taskQueue, StaticSummary: "Measure every READY cluster",
	}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: measureID, Spec: spec, Action: action, CatchupWindow: measureEvery,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = c.ScheduleClient().GetHandle(ctx, measureID).Update(ctx, client.ScheduleUpdateOptions{
			DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
				s := in.Description.Schedule
				s.Spec, s.Action = &spec, action
				return &client.ScheduleUpdate{Schedule: &s}, nil
			},
		})
	}
	if err != nil {
		return fmt.Errorf("schedule the measuring of clusters: %w", err)
	}
	return nil
}
