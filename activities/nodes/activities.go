// Package nodes has the activities that turn machines into Kubernetes nodes, over SSH and through the cluster's API.
package nodes

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities makes Kubernetes nodes of machines, over SSH and through the cluster's API.
type Activities struct {
	Store *store.Store
	Pool  *remote.Pool
	// Clouds are asked about a machine that falls silent while something is done on it.
	Clouds activities.Clouds
	// SilentEvery is how often it is looked whether such a machine has; 15 s by default.
	SilentEvery time.Duration
	// ClusterDir is where a person's files of a cluster are kept; nil where this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  activities.Deadlines
	// RenewWithin: credentials that end sooner are renewed.
	RenewWithin time.Duration
	Now         func() time.Time
	// Home is written on the machines that are prepared; nil leaves them without.
	Home *homewatch.Watch
}

// newKubeClient is one for the cluster's API.
func (a *Activities) newKubeClient(ctx context.Context, ref api.Ref) (kubernetes.Interface, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, err
	}
	return activities.NewClusterClient(ctx, c, a.Store, a.Pool)
}
