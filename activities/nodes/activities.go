// Package nodes has the activities that turn machines into Kubernetes nodes, over SSH and through the cluster's API.
package nodes

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities turn machines into Kubernetes nodes.
type Activities struct {
	Store *store.Store
	Pool  *remote.Pool
	// Clouds are queried about a machine that stops answering during a step.
	Clouds activities.Clouds
	// LossCheckInterval is how often a step checks whether its machine still answers; 15 s by default.
	LossCheckInterval time.Duration
	// ClusterDir returns where a person's files of a cluster are; nil if this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  activities.Deadlines
	// RenewWithin: credentials that expire within it are renewed.
	RenewWithin time.Duration
	Now         func() time.Time
	// Snapshots are the files from which clusters are restored.
	Snapshots *activities.SnapshotFiles
	// Home writes its mark on prepared machines; nil writes none.
	Home *homewatch.Watch

	nodeWatches kube.NodeWatches
}

// newKubeClient returns a client for the cluster's API.
func (a *Activities) newKubeClient(ctx context.Context, ref api.Ref) (kubernetes.Interface, error) {
	c, err := a.Store.ReadClusterObject(ctx, ref)
	if err != nil {
		return nil, err
	}
	return activities.NewClusterClient(ctx, c, a.Store, a.Pool)
}

// awaitNodeReady waits for the Node of a machine. The machines of a cluster share one watch.
func (a *Activities) awaitNodeReady(ctx context.Context, step *machineStep) error {
	ref := step.machine.Cluster
	return a.nodeWatches.AwaitNodeReady(ctx, ref.UID,
		func(ctx context.Context) (kubernetes.Interface, error) { return a.newKubeClient(ctx, ref) },
		step.machine.NodeName, step.report)
}
