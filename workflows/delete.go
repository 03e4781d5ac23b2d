package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Delete terminates all machines of a cluster, confirms that the cloud lists none of them, and removes the cluster from
// etcd. It needs only names and labels, so it works in any state of the cluster. Deleting a cluster that is gone
// succeeds.
func Delete(ctx workflow.Context, in operation.DeleteInput) error {
	ref := in.Cluster
	err := removeCluster(ctx, in)
	if err == nil || errorReason(err) == activities.ReasonGone {
		return nil
	}
	// The cluster stays DELETING, with the reason; the next delete resumes.
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if err := outcomeWrite.runActivity(clean, ref.Name+": record the failure", clusterActivities.MarkFailed,
		record.MarkFailedInput{Cluster: ref, Failure: failure}); err != nil {
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
	kind := cleanup
	if in.Purge {
		kind = purge
	}
	if err := terminateAllMachines(ctx, kind, ref); err != nil {
		if !in.Purge || ctx.Err() != nil || errorReason(err) == activities.ReasonGone {
			return err
		}
		workflow.GetLogger(ctx).Warn("removing the record of a cluster whose machines may still exist", "cluster",
			ref.Name,
			"error", err)
	}
	if workflow.GetVersion(ctx, "delete-snapshots", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		if err := etcdWrite.runActivity(ctx, ref.Name+": delete the scheduled snapshots",
			snapshotActivities.DeleteClusterSnapshots, ref); err != nil {
			return err
		}
	}
	return etcdWrite.runActivity(ctx, ref.Name+": remove the record", clusterActivities.Forget, ref)
}
