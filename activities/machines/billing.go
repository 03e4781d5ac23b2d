package machines

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// lifetimesTimeout bounds the question, which an operation waits for.
const lifetimesTimeout = 20 * time.Second

// updateLifetimes records from when until when machines of a cluster were there as their cloud tells it. Where it
// can't, their cost stays an estimate: nothing waits for it, and nothing fails.
func (a *Activities) updateLifetimes(ctx context.Context, ref api.Ref, of cloud.Cloud, owner cloud.Owner) {
	keeper, ok := of.(cloud.LifetimeLister)
	if !ok {
		return
	}
	soon, cancel := context.WithTimeout(ctx, lifetimesTimeout)
	defer cancel()
	// Machines that end at the same time share the answer; what it misses is settled by the last of them, or before a
	// delete ends.
	answer, err, _ := a.settling.Do(ref.UID, func() (any, error) { return keeper.ListLifetimes(soon, owner) })
	if err == nil {
		err = a.recordLifetimes(soon, ref, answer.(cloud.Lifetimes))
	}
	if err != nil && ctx.Err() == nil {
		activity.GetLogger(ctx).Warn("what machines have cost is an estimate: their cloud did not say when they "+
			"were there",
			"cluster", ref.Name, "error", err)
	}
}

// recordCostEstimated records that a machine was stopped, and no longer is: nobody counts for how long it did not bill.
func (a *Activities) recordCostEstimated(ctx context.Context, record api.Machine, m activities.MachineRef) error {
	if record.Placement.PricePerMachine <= 0 {
		return nil
	}
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SpentEstimated = true
		return nil
	})
	return err
}

func (a *Activities) recordLifetimes(ctx context.Context, ref api.Ref, told cloud.Lifetimes) error {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return err
	}
	for _, m := range c.Status.Machines {
		if m.Placement.PricePerMachine <= 0 || !mergeLifetimes(&m, told, a.Now()) {
			continue
		}
		_, err := a.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(r *api.Machine) error {
			mergeLifetimes(r, told, a.Now())
			return nil
		})
		if err != nil && !activities.IsUnwanted(err) {
			return err
		}
	}
	return nil
}

// mergeLifetimes takes over into a record from when until when its machine was there, and says whether that is news.
// SkyPilot may have made more than one machine of an incarnation, one after the other, before one was good.
func mergeLifetimes(m *api.Machine, told cloud.Lifetimes, now time.Time) bool {
	from, until := m.BilledFrom, m.BilledUntil
	seen, there := false, false
	for _, l := range told.Machines {
		if l.Incarnation != m.Incarnation || l.Index != m.Index {
			continue
		}
		if from.IsZero() || l.From.Before(from) { // one that was stopped and started tells when it was started
			from = l.From
		}
		if l.Until.After(until) {
			until = l.Until
		}
		seen, there = true, there || !l.Ended
	}
	switch {
	case there:
		until = time.Time{}
	case !seen && wasNeverCreated(*m, told, now):
		from, until = m.LaunchedAt, m.LaunchedAt
	}
	changed := !from.Equal(m.BilledFrom) || !until.Equal(m.BilledUntil)
	m.BilledFrom, m.BilledUntil = from, until
	return changed
}

// wasNeverCreated says that the cloud would know of a machine whose launch has ended, and does not: it made none.
func wasNeverCreated(m api.Machine, told cloud.Lifetimes, now time.Time) bool {
	return slices.Contains(told.Clouds, m.Placement.Cloud) && m.State == api.MachineGone && m.CloudID == "" &&
		m.BilledFrom.IsZero() &&
		!m.LaunchedAt.IsZero() && now.Sub(m.LaunchedAt) < told.Remembered
}
