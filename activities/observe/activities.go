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
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities compare clusters with the actual state, and start operations on those that differ.
type Activities struct {
	Store  *store.Store
	Clouds activities.Clouds
	Pool   *remote.Pool
	// ClusterDir returns where a person's files of a cluster are; nil if this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  activities.Deadlines
	Policy     plan.Policy
	// GPUStack returns what a cluster's GPU stack is compared with.
	GPUStack func(kind string) chart.Stack
	// Home reports whether this state may change machines; nil if that is never in doubt.
	Home *homewatch.Watch
	// OrphanGrace is how long an orphan is kept after it was first seen; 0 keeps it forever.
	OrphanGrace time.Duration
	// Interval is the pause between sweeps.
	Interval time.Duration
	// Start starts an operation on a cluster. It returns false if one is already running.
	Start func(ctx context.Context, ref api.Ref, workflow string, input any) (bool, error)
	Now   func() time.Time

	// providerQueries lets concurrent batches of a sweep share one listing of a cloud.
	providerQueries singleflight.Group
}

func (a *Activities) recordEventNow(ctx context.Context, e api.Event) {
	e.First, e.Last = a.Now(), a.Now()
	activities.RecordEvent(ctx, a.Store, e)
}
