package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"
)

const (
	// releaseTimeout bounds ReleaseInterrupted, because the worker starts after it.
	releaseTimeout = 15 * time.Second
	// releasesAtOnce bounds the operations that are looked at in parallel.
	releasesAtOnce = 8
)

// reasonInterrupted is the type of the error with which an activity of a killed worker ends. Temporal tries it again.
const reasonInterrupted = "WorkerGone"

// ReleaseInterrupted ends the tries of activities that an earlier worker of the task queue left when it was killed, so
// that they are tried again at once instead of after their heartbeat timeout. No other worker of the queue may run. It
// is best effort: what it misses is tried again after the timeout.
func ReleaseInterrupted(ctx context.Context, c client.Client, namespace, taskQueue string, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	running, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("TaskQueue = '%s' AND ExecutionStatus = 'Running'", taskQueue),
	})
	var group errgroup.Group
	group.SetLimit(releasesAtOnce)
	for _, w := range running.GetExecutions() {
		group.Go(func() error { return releaseActivitiesOf(ctx, c, namespace, w) })
	}
	if failed := group.Wait(); err == nil {
		err = failed
	}
	if err != nil {
		log.Info("some activities of the previous worker resume only after their heartbeat timeout", "error", err)
	}
}

func releaseActivitiesOf(ctx context.Context, c client.Client, namespace string,
	w *workflow.WorkflowExecutionInfo) error {
	id, run := w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId()
	found, err := c.DescribeWorkflowExecution(ctx, id, run)
	if err != nil {
		return err
	}
	var errs []error
	for _, pending := range found.GetPendingActivities() {
		var outcome error
		switch pending.GetState() {
		case enums.PENDING_ACTIVITY_STATE_STARTED:
			outcome = temporal.NewApplicationError("the worker that ran it was stopped", reasonInterrupted)
		case enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
			outcome = temporal.NewCanceledError()
		default:
			continue
		}
		err := c.CompleteActivityByID(ctx, namespace, id, run, pending.GetActivityId(), nil, outcome)
		if err != nil {
			errs = append(errs, fmt.Errorf("activity %s of %s: %w", pending.GetActivityType().GetName(), id, err))
		}
	}
	return errors.Join(errs...)
}
