package worker

import (
	"context"
	"errors"
	"fmt"
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
