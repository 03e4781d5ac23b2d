package record

import (
	"context"
	"errors"
	"path/filepath"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/kubeconfig"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Forget removes the cluster from the person's kubeconfigs, and then all records of it in etcd.
func (a *Activities) Forget(ctx context.Context, ref api.Ref) error {
	const step = "forget the cluster"
	if a.ClusterDir != nil {
		dir := a.ClusterDir(ref.Name)
		// the file of a person must not hold this up
		if err := kubeconfig.RemoveOwnMerged(ctx, dir, ref.Name); err != nil {
			activity.GetLogger(ctx).Warn("the entries in a person's kubeconfig are not removed", "cluster", ref.Name,
				"error", err)
		}
		if err := kubefile.RemoveEntries(filepath.Join(dir, "kubeconfig"), ref.Name); err != nil {
			return activities.StepError(ctx, step, "", err)
		}
	}
	if err := a.recordCloudUse(ctx, ref); err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	err := a.Store.DeleteCluster(ctx, ref)
	if err == nil {
		a.recordEventNow(ctx, api.Event{Cluster: ref.Name, UID: ref.UID, Type: api.EventNormal, Reason: "Deleted",
			Message: "deleted, with all its machines"})
	}
	return activities.StepError(ctx, step, "", err)
}

// recordCloudUse keeps the cloud of a cluster that is about to be forgotten among those that are searched for orphans:
// a purge may leave machines, and no other cluster may use that cloud.
func (a *Activities) recordCloudUse(ctx context.Context, ref api.Ref) error {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	gone, corrupt := new(store.NotFoundError), new(store.CorruptError)
	if errors.As(err, &gone) || errors.As(err, &corrupt) {
		return nil // a purge continues whatever the state of the records
	}
	if err != nil || c.CloudName() == "" {
		return err
	}
	return a.Store.RecordCloudUse(ctx, c.CloudName(), a.Now())
}
