// Package observe has the activities of sweeps: they compare clusters with the actual state, start what is needed, and
// find orphans.
package observe

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities compares clusters with the world, and starts what is to be done about a difference.
type Activities struct {
	Store  *store.Store
	Clouds activities.Clouds
	Pool   *remote.Pool
	// ClusterDir is where a person's files of a cluster are kept; nil where this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  activities.Deadlines
	Policy     plan.Policy
	// GPUStack is what the clusters' GPU stacks are compared with.
	GPUStack func(kind string) gpu.Stack
	// Home says whether this is the state by which machines may be changed; nil where that is never in doubt.
	Home *homewatch.Watch
	// OrphanGrace is how long an orphan is left alone after it was first seen; 0 leaves it for good.
	OrphanGrace time.Duration
	// Interval is how often sweeps are meant to come.
	Interval time.Duration
	// Start starts an operation on a cluster, and says whether it did: it does not where one works on it already.
	Start func(ctx context.Context, ref api.Ref, workflow string, input any) (bool, error)
	Now   func() time.Time

	// listing lets the batches of a sweep that run at the same time ask a cloud once.
	listing singleflight.Group
}

func (a *Activities) recordEventNow(ctx context.Context, e api.Event) {
	e.First, e.Last = a.Now(), a.Now()
	activities.RecordEvent(ctx, a.Store, e)
}
