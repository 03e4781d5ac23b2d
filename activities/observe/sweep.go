package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// clustersAtOnce bounds the clusters of a batch that are observed at the same time, sweepClusterTimeout the time
	// for each: a cluster that hangs holds up few others, and not for long.
	clustersAtOnce      = 16
	sweepClusterTimeout = 30 * time.Second
	// startGrace is how long a cluster may be in phase INIT without an operation: its client is about to start one.
	startGrace = 30 * time.Second
)

// ListClusters returns the names of the clusters to observe: the given one, or all. Clusters with a damaged record are
// reported as events and left out.
func (a *Activities) ListClusters(ctx context.Context, only string) ([]string, error) {
	const step = "list the clusters"
	if only != "" {
		c, err := a.Store.ReadCluster(ctx, only)
		if err != nil {
			return nil, activities.StepError(ctx, step, "", err)
		}
		return []string{c.Metadata.Name}, nil
	}
	all, err := a.Store.ListClusters(ctx)
	corrupt := store.CorruptClusterNames(err)
	if err != nil && len(corrupt) == 0 {
		return nil, activities.StepError(ctx, step, "", err)
	}
	for _, name := range corrupt {
		a.recordEventNow(ctx, api.Event{
			Cluster: name, Type: api.EventWarning, Reason: string(api.DriftInvalid),
			Message: "the cluster's record in etcd is damaged; skyctl does not change it or its machines until " +
				"this is fixed",
		})
	}
	// Readers see from this record how old the observations are.
	if err := a.Store.RecordSweep(ctx, a.Now(), a.Interval); err != nil && activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("could not record the start of a sweep", "error", err)
	}
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Metadata.Name
	}
	return names, nil
}

// LookAtInput is a batch of clusters to observe.
type LookAtInput struct {
	Clusters []string `json:"clusters"`
	// Again is passed on to the repairs that are started.
	Again bool `json:"again,omitempty"`
}

// LookAt compares clusters with the actual state, records what it observed of each, and starts operations where they
// are needed. It returns the clusters that differ. A cloud that hangs only holds up its own clusters.
func (a *Activities) LookAt(ctx context.Context, in LookAtInput) ([]operation.DriftedCluster, error) {
	const step = "observe the clusters"
	groups, err := a.groupByProvider(ctx, in.Clusters)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	var mu sync.Mutex
	var drifted []operation.DriftedCluster
	var listings, observations errgroup.Group
	observations.SetLimit(clustersAtOnce)
	for provider, names := range groups {
		listings.Go(func() error {
			listed, err := a.listProviderShared(ctx, provider)
			if err != nil {
				return err
			}
			for _, name := range names {
				observations.Go(func() error {
					if found := a.sweepClusterInTime(ctx, name, listed, in.Again); found != nil {
						mu.Lock()
						defer mu.Unlock()
						drifted = append(drifted, *found)
					}
					return nil
				})
			}
			return nil
		})
	}
	err = listings.Wait()
	_ = observations.Wait() // none of them returns an error
	slices.SortFunc(drifted, func(a, b operation.DriftedCluster) int { return strings.Compare(a.Cluster, b.Cluster) })
	return drifted, activities.StepError(ctx, step, "", cmp.Or(err, ctx.Err()))
}

// sweepClusterInTime runs sweepCluster with a timeout. A failure is a finding, too.
func (a *Activities) sweepClusterInTime(ctx context.Context, name string, listed providerListings,
	again bool) *operation.DriftedCluster {
	timeoutCtx, cancel := context.WithTimeout(ctx, sweepClusterTimeout)
	defer cancel()
	found, err := a.sweepCluster(timeoutCtx, name, listed, again)
	if err != nil && ctx.Err() == nil {
		activity.GetLogger(ctx).Warn("could not observe a cluster", "cluster", name, "error", err)
		a.recordNotObserved(ctx, name, err)
		return &operation.DriftedCluster{Cluster: name, Why: err.Error(), Unseen: true}
	}
	return found
}

// sweepCluster observes one cluster; nil if it matches its spec, or is gone.
func (a *Activities) sweepCluster(ctx context.Context, name string, listings providerListings,
	again bool) (*operation.DriftedCluster, error) {
	c, err := a.Store.ReadCluster(ctx, name)
	gone, corrupt := new(store.NotFoundError), new(store.CorruptError)
	switch {
	case errors.As(err, &gone):
		return nil, nil
	case errors.As(err, &corrupt):
		return a.reportUnreadable(ctx, name, corrupt), nil
	case err != nil:
		return nil, err
	}
	if err := plan.ValidateCluster(c); err != nil {
		return a.reportInvalid(ctx, c, err), nil
	}
	found := &operation.DriftedCluster{Cluster: name, Phase: c.Status.Phase}
	requested := operation.RequestedOperation(c)
	if c.Status.Phase.IsBusy() || requested != "" {
		if doubt, err := a.Home.RecentDoubt(ctx); err != nil || doubt != nil {
			found.Why = api.HomeHeld
			return found, err
		}
	}
	if requested != "" {
		return a.startRequested(ctx, c, found, requested)
	}
	switch c.Status.Phase {
	case api.PhaseInit, api.PhaseProvisioning:
		if c.Status.Phase == api.PhaseInit && a.Now().Sub(phaseSince(c)) < startGrace {
			return nil, nil
		}
		return found, a.startOperation(ctx, c, found, api.DriftNeverStarted, operation.WorkflowProvision,
			operation.ProvisionInput{Cluster: c.Ref()})
	case api.PhaseDeleting:
		return found, a.startOperation(ctx, c, found, api.DriftNeverDeleted, operation.WorkflowDelete,
			operation.DeleteInput{Cluster: c.Ref()})
	case api.PhaseStopped:
		return a.sweepStopped(ctx, c, found, listings.forCluster(a.Clouds, c))
	}
	if _, asked := listings[a.Clouds.ProviderName(c.CloudName())]; !asked {
		found.Why, found.Unseen = "an operation on it has just ended; the next sweep observes it", true
		return found, nil
	}
	in := AssessInput{Cluster: c.Ref()}
	if again {
		in.Asked = a.Now()
	}
	assessed, err := a.assessCluster(ctx, c, listings.forCluster(a.Clouds, c), in)
	if err != nil {
		return nil, err
	}
	decision := assessed.decision
	found.Drift = decision.Drift
	if next := assessed.next; next != "" {
		return found, a.startNext(ctx, c, found, next, operation.NewRequestedInput(next, c.Ref()))
	}
	repairAnyway := again && c.Status.CanBeRepaired() // even without drift, it has to become READY again
	if len(decision.Drift) == 0 && decision.Fail == nil && !repairAnyway {
		return nil, nil
	}
	if len(decision.Actions) == 0 && decision.Fail == nil && !repairAnyway {
		found.Why = "no action is needed now"
		return found, nil
	}
	return found, a.startNext(ctx, c, found, operation.WorkflowConverge,
		operation.ConvergeInput{Cluster: c.Ref(), Again: again})
}

// startNext starts what a READY cluster needs, unless this state may not be the installation's home.
func (a *Activities) startNext(ctx context.Context, c *api.Cluster, found *operation.DriftedCluster, workflow string,
	input any) error {
	if doubt := new(homewatch.DoubtError); errors.As(a.Home.Confirm(ctx, *c), &doubt) {
		found.Why = api.HomeHeld
		return nil
	}
	started, err := a.Start(ctx, c.Ref(), workflow, input)
	setStartResult(found, workflow, started)
	return err
}

// startOperation starts an operation that should be running. It is only drift if it was not running yet.
func (a *Activities) startOperation(ctx context.Context, c *api.Cluster, found *operation.DriftedCluster,
	reason api.DriftReason, workflow string, input any) error {
	started, err := a.Start(ctx, c.Ref(), workflow, input)
	setStartResult(found, workflow, started)
	if started {
		drift := api.Drift{Reason: reason, Since: a.Now(), Next: "the operation continues",
			Message: fmt.Sprintf("no operation was running on the cluster, which is %s", c.Status.Phase)}
		if operation.RequestedOperation(c) != "" {
			drift.Message = fmt.Sprintf("no operation was running on the cluster, whose %s was requested",
				strings.ToLower(workflow))
		}
		found.Drift = []api.Drift{drift}
		a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventWarning, string(reason), drift.Message+"; started "+
			workflow))
	}
	return err
}

func setStartResult(found *operation.DriftedCluster, workflow string, started bool) {
	if started {
		found.Started = workflow
	} else {
		found.Why = "an operation is already running on it"
	}
}

// reportUnreadable reports a cluster with a damaged machine record.
func (a *Activities) reportUnreadable(ctx context.Context, name string, wrong error) *operation.DriftedCluster {
	e := api.Event{Cluster: name, Type: api.EventWarning, Reason: string(api.DriftInvalid), Message: wrong.Error() +
		"; skyctl does not change the cluster until this is fixed"}
	a.recordEventNow(ctx, e)
	return &operation.DriftedCluster{Cluster: name, Why: e.Message, Unseen: true}
}

// phaseSince returns when the cluster entered its phase.
func phaseSince(c *api.Cluster) time.Time {
	if n := len(c.Status.Transitions); n > 0 {
		return c.Status.Transitions[n-1].At
	}
	return c.Metadata.CreatedAt
}
