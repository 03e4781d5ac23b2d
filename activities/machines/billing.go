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

// lifetimesTimeout bounds the query, because an operation waits for it.
const lifetimesTimeout = 20 * time.Second

// updateLifetimes records when a cluster's machines existed, according to their cloud. If the cloud can't tell, their
// cost stays an estimate and the step goes on. own is the machine of the step, nil if it has none.
func (a *Activities) updateLifetimes(ctx context.Context, ref api.Ref, onCloud cloud.Cloud, owner cloud.Owner,
	own *activities.MachineRef) {
	keeper, ok := onCloud.(cloud.LifetimeLister)
	if !ok {
		return
	}
	queryCtx, cancel := context.WithTimeout(ctx, lifetimesTimeout)
	defer cancel()
	// Machines that are terminated at the same time share the answer, and one step records it for all. The last of
	// them, or the end of a delete, settles what it misses.
	answer, err, shared := a.lifetimeQueries.Do(ref.UID, func() (any, error) {
		lifetimes, err := keeper.ListLifetimes(queryCtx, owner)
		if err == nil {
			err = a.recordLifetimes(queryCtx, ref, lifetimes)
		}
		return lifetimes, err
	})
	if err == nil && shared && own != nil {
		// The other step may have read the record of this machine before it changed.
		err = a.recordLifetime(queryCtx, *own, answer.(cloud.Lifetimes))
	}
	if err != nil && ctx.Err() == nil {
		activity.GetLogger(ctx).Warn("the machines' cost is an estimate: their cloud did not report when they "+
			"were there",
			"cluster", ref.Name, "error", err)
	}
}

// markCostEstimated records that a machine was stopped and runs again: it is unknown for how long it did not cost
// money.
func (a *Activities) markCostEstimated(ctx context.Context, record api.Machine, m activities.MachineRef) error {
	if record.Placement.PricePerMachine <= 0 {
		return nil
	}
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SpentEstimated = true
		return nil
	})
	return err
}

func (a *Activities) recordLifetimes(ctx context.Context, ref api.Ref, lifetimes cloud.Lifetimes) error {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return err
	}
	for _, m := range c.Status.Machines {
		if m.Placement.PricePerMachine <= 0 || !mergeLifetimes(&m, lifetimes, a.Now()) {
			continue
		}
		if err := a.recordLifetime(ctx, activities.MachineRefOf(ref, m), lifetimes); err != nil {
			return err
		}
	}
	return nil
}

func (a *Activities) recordLifetime(ctx context.Context, m activities.MachineRef, lifetimes cloud.Lifetimes) error {
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		mergeLifetimes(r, lifetimes, a.Now())
		return nil
	})
	if activities.IsUnwanted(err) {
		return nil
	}
	return err
}

// mergeLifetimes adds to a record when its machine existed, and reports whether that changes it. SkyPilot may have
// created several machines for one incarnation before one was usable.
func mergeLifetimes(m *api.Machine, lifetimes cloud.Lifetimes, now time.Time) bool {
	from, until := m.BilledFrom, m.BilledUntil
	known, alive := false, false
	for _, l := range lifetimes.Machines {
		if l.Incarnation != m.Incarnation || l.Index != m.Index {
			continue
		}
		if from.IsZero() || l.From.Before(from) { // a machine that was stopped and started reports its last start
			from = l.From
		}
		if l.Until.After(until) {
			until = l.Until
		}
		known, alive = true, alive || !l.Ended
	}
	switch {
	case alive:
		until = time.Time{}
	case !known && wasNeverCreated(*m, lifetimes, now):
		from, until = m.LaunchedAt, m.LaunchedAt
	}
	changed := !from.Equal(m.BilledFrom) || !until.Equal(m.BilledUntil)
	m.BilledFrom, m.BilledUntil = from, until
	return changed
}

// wasNeverCreated reports whether the cloud would know the machine if its launch had created one.
func wasNeverCreated(m api.Machine, lifetimes cloud.Lifetimes, now time.Time) bool {
	return slices.Contains(lifetimes.Clouds, m.Placement.Cloud) && m.State == api.MachineGone && m.CloudID == "" &&
		m.BilledFrom.IsZero() &&
		!m.LaunchedAt.IsZero() && now.Sub(m.LaunchedAt) < lifetimes.Remembered
}
