package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// Delete gives back all machines of a cluster, confirms that the cloud has none of them left, and forgets it. It works
// from names and labels alone, whatever state the cluster was left in. A cluster that is not there any more is a success.
func Delete(ctx workflow.Context, in api.DeleteInput) error {
	ref := in.Cluster
	err := remove(ctx, in)
	if reasonOf(err) == activities.ReasonGone {
		return nil
	}
	if err == nil {
		return nil
	}
	// The cluster stays DELETING, with the reason; the next delete goes on from there.
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if err := settle.run(clean, ref.Name+": record why", clusters.MarkFailed, activities.FailInput{Cluster: ref, Failure: failure}); err != nil {
		return err
	}
	if temporal.IsCanceledError(err) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the cluster could not be deleted: %s", failure.Message), failure.Reason, nil)
}

func remove(ctx workflow.Context, in api.DeleteInput) error {
	ref := in.Cluster
	if err := record.run(ctx, ref.Name+": mark DELETING", clusters.MarkDeleting, ref); err != nil {
		return err
	}
	effort := cleanup
	if in.Purge {
		effort = purge
	}
	if err := terminateAll(ctx, effort, ref); err != nil {
		if !in.Purge || ctx.Err() != nil || reasonOf(err) == activities.ReasonGone {
			return err
		}
		workflow.GetLogger(ctx).Warn("forgetting a cluster whose machines may still exist", "cluster", ref.Name, "error", err)
	}
	return record.run(ctx, ref.Name+": forget the cluster", clusters.Forget, ref)
}
