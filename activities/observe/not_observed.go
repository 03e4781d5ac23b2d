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

// leftAloneAdvice comes next about a cluster of which nobody can say what is wanted.
const leftAloneAdvice = "the cluster is left alone until that is mended"

// reportInvalid reports a cluster of which nobody can say what is wanted, and takes back what an earlier sweep said of
// it: that it is in sync was not seen now.
func (a *Activities) reportInvalid(ctx context.Context, c *api.Cluster, wrong error) *operation.DriftedCluster {
	drift := api.Drift{Reason: api.DriftInvalid, Message: wrong.Error(), Since: a.Now(), Next: leftAloneAdvice}
	a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventWarning, string(api.DriftInvalid), wrong.Error()+"; "+
		leftAloneAdvice))
	a.recordInSync(ctx, c.Ref(), api.Condition{
		Type: api.InSync, Status: api.ConditionFalse, Reason: string(api.DriftInvalid), Message: wrong.Error(),
	}, []api.Drift{drift})
	return &operation.DriftedCluster{
		Cluster: c.Metadata.Name, Phase: c.Status.Phase, Why: "it is left alone", Unseen: true,
		Drift: []api.Drift{drift},
	}
}

// recordNotObserved takes back what an earlier sweep said of a cluster that could not be looked at now.
func (a *Activities) recordNotObserved(ctx context.Context, name string, why error) {
	c, err := a.Store.ReadCluster(ctx, name)
	if err != nil || c.Status.Phase != api.PhaseReady {
		return // there is nothing to take back, or nobody to take it back with
	}
	a.recordInSync(ctx, c.Ref(), api.Condition{
		Type: api.InSync, Status: api.ConditionUnknown, Reason: "NotLookedAt", Message: redact.Text(why.Error()),
	}, c.Status.Drift)
}

// notObservedTimeout bounds the writing of what was not seen: the look itself has used up its time.
const notObservedTimeout = 5 * time.Second

func (a *Activities) recordInSync(ctx context.Context, ref api.Ref, in api.Condition, drift []api.Drift) {
	soon, cancel := context.WithTimeout(ctx, notObservedTimeout)
	defer cancel()
	_, err := a.Store.UpdateCluster(soon, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseReady {
			c.Status.SetDrift(append([]api.Drift(nil), drift...), a.Now())
			c.Status.SetCondition(in, a.Now())
		}
		return nil
	})
	if err != nil && activity.IsActivity(ctx) { // an object may be such that it can't be stored again
		activity.GetLogger(ctx).Warn("that a cluster was not looked at could not be recorded", "cluster", ref.Name,
			"error", err)
	}
}
