package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// endOperation returns how an operation on a READY cluster ends. One that was cancelled because the cluster is to be
// deleted continues as Delete; the same is true for Restore and Stop.
func endOperation(ctx workflow.Context, cluster api.Ref, err error) error {
	switch {
	case err == nil, workflow.IsContinueAsNewError(err):
		return err
	case errorReason(err) == activities.ReasonGone:
		return nil
	case !temporal.IsCanceledError(err):
		return temporal.NewNonRetryableApplicationError(failureOf(err).Message, failureOf(err).Reason, nil)
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	wanted, end := readWantedState(clean, cluster)
	if end != nil {
		return end
	}
	if wanted.Next != "" {
		return workflow.NewContinueAsNewError(clean, wanted.Next, operation.NewRequestedInput(wanted.Next, cluster))
	}
	return err
}

// failCluster leaves a cluster in ERROR, because the planner sees no way to repair it.
func failCluster(ctx workflow.Context, cluster api.Ref, failure api.Failure) error {
	in := record.MarkFailedInput{Cluster: cluster, Failure: failure}
	if err := outcomeWrite.runActivity(ctx, cluster.Name+": mark ERROR", clusterActivities.MarkFailed,
		in); err != nil {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}
