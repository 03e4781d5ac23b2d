package observe

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// leftAloneAdvice is the next step for a cluster whose record is invalid.
const leftAloneAdvice = "skyctl does not change the cluster until this is fixed"

// reportInvalid reports a cluster whose record is invalid, and withdraws the condition of an earlier sweep, because its
// state was not observed now.
func (a *Activities) reportInvalid(ctx context.Context, c *api.Cluster, wrong error) *operation.DriftedCluster {
	drift := api.Drift{Reason: api.DriftInvalid, Message: wrong.Error(), Since: a.Now(), Next: leftAloneAdvice}
	a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventWarning, string(api.DriftInvalid), wrong.Error()+"; "+
		leftAloneAdvice))
	a.recordInSync(ctx, c.Ref(), api.Condition{
		Type: api.InSync, Status: api.ConditionFalse, Reason: string(api.DriftInvalid), Message: wrong.Error(),
	}, []api.Drift{drift})
	return &operation.DriftedCluster{
		Cluster: c.Metadata.Name, Phase: c.Status.Phase, Why: "its record is invalid", Unseen: true,
		Drift: []api.Drift{drift},
	}
}

// recordNotObserved withdraws the condition of an earlier sweep from a cluster that could not be observed now.
func (a *Activities) recordNotObserved(ctx context.Context, name string, why error) {
	c, err := a.Store.ReadCluster(ctx, name)
	if err != nil || c.Status.Phase != api.PhaseReady {
		return // no condition to withdraw, or etcd does not answer
	}
	a.recordInSync(ctx, c.Ref(), api.Condition{
		Type: api.InSync, Status: api.ConditionUnknown, Reason: "NotLookedAt", Message: redact.Text(why.Error()),
	}, c.Status.Drift)
}

// notObservedTimeout bounds this write: the observation has used up its own time.
const notObservedTimeout = 5 * time.Second

func (a *Activities) recordInSync(ctx context.Context, ref api.Ref, in api.Condition, drift []api.Drift) {
	writeCtx, cancel := context.WithTimeout(ctx, notObservedTimeout)
	defer cancel()
	_, err := a.Store.UpdateCluster(writeCtx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseReady {
			c.Status.SetDrift(append([]api.Drift(nil), drift...), a.Now())
			c.Status.SetCondition(in, a.Now())
		}
		return nil
	})
	if err != nil && activity.IsActivity(ctx) { // a damaged object may not be writable
		activity.GetLogger(ctx).Warn("could not record that a cluster was not observed", "cluster", ref.Name,
			"error", err)
	}
}
