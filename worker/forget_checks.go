package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

const (
	// checkRetention is how long Temporal keeps the history of a sweep and of other checks that have ended. Thousands
	// of them a day would hide the operations, whose history it keeps longer.
	checkRetention = 24 * time.Hour
	// forgetInterval is the pause between two deletions of old checks, and mostForgotten bounds one of them: a version
	// before this one left many.
	forgetInterval = 10 * time.Minute
	forgetTimeout  = 5 * time.Minute
	mostForgotten  = 2000
	forgetPageSize = 500
)

// checkTypes are the workflow types that change no cluster themselves and run all the time.
var checkTypes = []string{operation.WorkflowSweep, operation.WorkflowScheduleSnapshots, operation.WorkflowPlan,
	operation.WorkflowCheck, operation.WorkflowCheckMachines, operation.WorkflowListLocalData}

// keepForgettingChecks deletes the old checks now and then, until the context ends.
func keepForgettingChecks(ctx context.Context, c client.Client, namespace string, log *slog.Logger) {
	for {
		deleted, err := ForgetChecks(ctx, c, namespace, utcNow().Add(-checkRetention))
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Warn("could not delete the history of old checks, trying again", "in", forgetInterval, "error", err)
		} else if deleted > 0 {
			log.Debug("deleted the history of old checks", "count", deleted)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(forgetInterval):
		}
	}
}

// ForgetChecks deletes the histories of sweeps, plans and other checks that ended before a time, and returns how many.
// Another worker may do the same.
func ForgetChecks(ctx context.Context, c client.Client, namespace string, before time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	// only workflows that have ended have a CloseTime
	query := fmt.Sprintf("WorkflowType IN ('%s') AND CloseTime < '%s'", strings.Join(checkTypes, "', '"),
		before.UTC().Format(time.RFC3339Nano))
	deleted := 0
	var page []byte
	for deleted < mostForgotten {
		list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace,
			Query: query, PageSize: forgetPageSize, NextPageToken: page})
		if err != nil {
			return deleted, fmt.Errorf("list the checks that ended before %s: %w", before.Format(time.RFC3339), err)
		}
		for _, e := range list.GetExecutions() {
			_, err := c.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
				Namespace: namespace, WorkflowExecution: e.GetExecution()})
			if gone := new(serviceerror.NotFound); err != nil && !errors.As(err, &gone) {
				return deleted, fmt.Errorf("delete the history of %s: %w", e.GetExecution().GetWorkflowId(), err)
			}
			deleted++
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			break
		}
	}
	return deleted, nil
}
