package world

import (
	"context"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// OperationRuns reports whether a worker runs an activity of a cluster's operation, or of a workflow that the operation
// waits for.
func OperationRuns(ctx context.Context, temporal client.Client, cluster, activity string) bool {
	return workflowRuns(ctx, temporal, operation.WorkflowID(cluster), activity)
}

func workflowRuns(ctx context.Context, temporal client.Client, id, activity string) bool {
	d, err := temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return false
	}
	for _, p := range d.GetPendingActivities() {
		if p.GetActivityType().GetName() == activity && p.GetState() == enums.PENDING_ACTIVITY_STATE_STARTED {
			return true
		}
	}
	for _, child := range d.GetPendingChildren() {
		if workflowRuns(ctx, temporal, child.GetWorkflowId(), activity) {
			return true
		}
	}
	return false
}
