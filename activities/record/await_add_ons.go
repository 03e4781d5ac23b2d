package record

import (
	"context"
	"errors"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// A cluster is asked for its add-ons after a pause of addOnsFirstPause, which doubles up to addOnsInterval: as a rule
// they are there within a second.
const (
	addOnsFirstPause = 100 * time.Millisecond
	addOnsInterval   = 3 * time.Second
)

// awaitAddOns waits for what pods need besides Ready Nodes, and returns the condition that says whether it is there.
// Its deadline does not fail the create: the rest of the cluster works, and sweeps look again.
func (a *Activities) awaitAddOns(ctx context.Context, c *api.Cluster) (api.Condition, error) {
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if err != nil {
		return api.Condition{}, err
	}
	defer kube.CloseClient(client)
	waitCtx, cancel := context.WithTimeout(ctx, a.AddOnsTimeout)
	defer cancel()
	said := false
	condition := awaitAddOnsOf(waitCtx, client, addOnsInterval, func(missing string) {
		activities.RecordHeartbeat(ctx, "waiting until pods can run: "+missing)
		if !said {
			said = a.recordAwaitedAddOns(ctx, c.Ref(), missing)
		}
	})
	return condition, ctx.Err()
}

var errNotProvisioning = errors.New("the cluster is not PROVISIONING")

// recordAwaitedAddOns tells people what the create waits for, and reports whether that is written.
func (a *Activities) recordAwaitedAddOns(ctx context.Context, ref api.Ref, missing string) bool {
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase != api.PhaseProvisioning {
			return errNotProvisioning
		}
		c.Status.SetCondition(api.Condition{Type: api.AddOnsReady, Status: api.ConditionFalse, Reason: "Waiting",
			Message: redact.Text(missing)}, a.Now())
		return nil
	})
	return err == nil
}

func awaitAddOnsOf(ctx context.Context, client kubernetes.Interface, interval time.Duration,
	report func(string)) api.Condition {
	condition := api.Condition{Type: api.AddOnsReady, Status: api.ConditionUnknown, Reason: "NotAsked"}
	for pause := min(addOnsFirstPause, interval); ; pause = min(2*pause, interval) {
		missing, err := kube.FindMissingAddOns(ctx, client)
		switch {
		case err == nil:
			condition = api.NewAddOnsCondition(missing)
		case ctx.Err() == nil:
			condition.Status, condition.Reason = api.ConditionUnknown, "NoAnswer"
			condition.Message = err.Error()
		}
		if condition.Status == api.ConditionTrue {
			return condition
		}
		report(condition.Message)
		select {
		case <-ctx.Done():
			return condition
		case <-time.After(pause):
		}
	}
}

// recordMissingAddOns tells people what a READY cluster lacks.
func (a *Activities) recordMissingAddOns(ctx context.Context, c *api.Cluster, condition api.Condition) {
	if condition.Status == api.ConditionTrue {
		return
	}
	a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventWarning, string(api.AddOnsReady)+condition.Reason,
		strings.TrimSpace("READY, but pods may not run as usual: "+condition.Message)))
}
