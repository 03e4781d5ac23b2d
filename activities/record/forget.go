package record

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Forget removes the person's kubeconfig of the cluster and then all that etcd has of it.
func (a *Activities) Forget(ctx context.Context, ref api.Ref) error {
	const step = "forget the cluster"
	if a.ClusterDir != nil {
		if err := kubefile.RemoveEntries(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"), ref.Name); err != nil {
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

// recordCloudUse has the cloud of a cluster that is about to be forgotten asked for orphans from now on: one that was
// purged may have left some, and no cluster may name its cloud any more.
func (a *Activities) recordCloudUse(ctx context.Context, ref api.Ref) error {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	gone, corrupt := new(store.NotFoundError), new(store.CorruptError)
	if errors.As(err, &gone) || errors.As(err, &corrupt) {
		return nil // a purge goes on whatever etcd has of the machines
	}
	if err != nil || c.CloudName() == "" {
		return err
	}
	return a.Store.RecordCloudUse(ctx, c.CloudName(), a.Now())
}
