package observe

import (
	"context"
	"time"

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

// withholdActions removes all actions from a decision while the home is in doubt.
func (a *Activities) withholdActions(ctx context.Context, d *plan.Decision) error {
	if len(d.Drift)+len(d.Actions) == 0 && d.Fail == nil {
		return nil
	}
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil || doubt == nil {
		return err
	}
	d.Actions, d.Fail = nil, nil
	for i := range d.Drift {
		d.Drift[i].Next = api.HomeHeld
	}
	return nil
}
