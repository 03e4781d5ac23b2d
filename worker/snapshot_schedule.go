package worker

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/workflows"
)

const (
	// snapshotInterval is how often ScheduleSnapshots runs, snapshotJitter how much later it may.
	snapshotInterval = time.Minute
	snapshotJitter   = 5 * time.Second
	// snapshotTimeout ends a ScheduleSnapshots that makes no progress; see sweepTimeout.
	snapshotTimeout = 10 * time.Minute
)

// EnsureSnapshotSchedule creates or updates the schedule of ScheduleSnapshots. A schedule that a person paused stays
// paused.
func EnsureSnapshotSchedule(ctx context.Context, c client.Client, taskQueue string) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: snapshotInterval}},
		Jitter: snapshotJitter}
	action := &client.ScheduleWorkflowAction{
		ID: operation.SnapshotScheduleID, Workflow: workflows.ScheduleSnapshots, TaskQueue: taskQueue,
		StaticSummary: "Start what takes and keeps snapshots", WorkflowExecutionTimeout: snapshotTimeout,
	}
	err := ensureSchedule(ctx, c, operation.SnapshotScheduleID, spec, action, snapshotInterval)
	if err != nil {
		return fmt.Errorf("create the schedule of snapshots: %w", err)
	}
	return nil
}

// NewSnapshotStarter returns a function that starts KeepSnapshots for a cluster, unless it is running.
func NewSnapshotStarter(c client.Client, taskQueue string) func(context.Context, api.Ref) error {
	return func(ctx context.Context, ref api.Ref) error {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		err := start.KeepSnapshots(ctx, c, taskQueue, operation.KeepSnapshotsInput{Cluster: ref})
		if err != nil && !start.IsAlreadyRunning(err) {
			return fmt.Errorf("start keeping the snapshots of cluster %s: %w", ref.Name, err)
		}
		return nil
	}
}

// NewCheckStarter returns a function that starts VerifySnapshots, or tells the one that runs to look again.
func NewCheckStarter(c client.Client, taskQueue string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err := start.VerifySnapshots(ctx, c, taskQueue); err != nil {
			return fmt.Errorf("start the verification of snapshots: %w", err)
		}
		return nil
	}
}
