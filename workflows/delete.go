package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Delete gives back all machines of a cluster, confirms that the cloud has none of them left, and forgets it. It works
// from names and labels alone, whatever state the cluster was left in. A cluster that is not there any more is a
// success.
func Delete(ctx workflow.Context, in operation.DeleteInput) error {
	ref := in.Cluster
	err := removeCluster(ctx, in)
	if errorReason(err) == activities.ReasonGone {
		return nil
	}
	if err == nil {
		return nil
	}
	// The cluster stays DELETING, with the reason; the next delete goes on from there.
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if err := outcomeWrite.runActivity(clean, ref.Name+": record why", clusterActivities.MarkFailed,
		activities.MarkFailedInput{Cluster: ref, Failure: failure}); err != nil {
		return err
	}
	if temporal.IsCanceledError(err) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the cluster could not be deleted: %s", failure.Message), failure.Reason, nil)
}

func removeCluster(ctx workflow.Context, in operation.DeleteInput) error {
	ref := in.Cluster
	if err := etcdWrite.runActivity(ctx, ref.Name+": mark DELETING", clusterActivities.MarkDeleting, ref); err != nil {
		return err
	}
	effort := cleanup
	if in.Purge {
		effort = purge
	}
	if err := terminateAllMachines(ctx, effort, ref); err != nil {
		if !in.Purge || ctx.Err() != nil || errorReason(err) == activities.ReasonGone {
			return err
		}
		workflow.GetLogger(ctx).Warn("forgetting a cluster whose machines may still exist", "cluster", ref.Name,
			"error", err)
	}
	return etcdWrite.runActivity(ctx, ref.Name+": forget the cluster", clusterActivities.Forget, ref)
}
