// Package record has the activities that keep a cluster's record in etcd.
package record

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities keep the record of a cluster in etcd.
type Activities struct {
	Store *store.Store
	Pool  *remote.Pool
	// RKE2 is the release of new clusters, and its source, unless their specs name others.
	RKE2 rke2.Source
	// ClusterDir returns where a person's files of a cluster are; nil if this worker does not run as that person.
	ClusterDir func(cluster string) string
	// AddOnsTimeout bounds the wait for the add-ons of a cluster whose Nodes are Ready.
	AddOnsTimeout time.Duration
	Now           func() time.Time
}

func (a *Activities) recordEventNow(ctx context.Context, e api.Event) {
	e.First, e.Last = a.Now(), a.Now()
	activities.RecordEvent(ctx, a.Store, e)
}
