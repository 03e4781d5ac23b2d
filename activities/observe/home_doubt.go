package observe

import (
	"context"
	"errors"
	"time"

	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// postponeOrphans keeps orphans while the home is in doubt. After a doubt their grace period starts with the adoption:
// until then they may have belonged to a cluster.
func (a *Activities) postponeOrphans(ctx context.Context, r *operation.OrphansResult) error {
	if a.Home == nil {
		return nil
	}
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil {
		return err
	}
	h, err := a.Store.ReadHome(ctx)
	if err != nil {
		return err
	}
	r.Doubt = doubt
	for i := range r.Orphans {
		o := &r.Orphans[i]
		switch {
		case o.TerminateAt.IsZero():
		case doubt != nil:
			o.TerminateAt = time.Time{}
		case h.AdoptedAt.After(o.FirstSeen):
			o.TerminateAt = h.AdoptedAt.Add(a.OrphanGrace)
		}
	}
	return nil
}

// withholdActions removes all actions from a decision while the home is in doubt. Before a restore, which ends a
// server, it asks the cluster's machines.
func (a *Activities) withholdActions(ctx context.Context, c *api.Cluster, d *plan.Decision) error {
	if len(d.Drift)+len(d.Actions) == 0 && d.Fail == nil {
		return nil
	}
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil {
		return err
	}
	found := new(homewatch.DoubtError)
	if doubt == nil && (d.Restore == nil || !errors.As(a.Home.Confirm(ctx, *c), &found)) {
		return nil
	}
	d.Actions, d.Fail, d.Restore = nil, nil, nil
	for i := range d.Drift {
		d.Drift[i].Next = api.HomeHeld
	}
	return nil
}
