package machines

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// PlanPoolInput asks where machines of a pool can be launched.
type PlanPoolInput struct {
	Cluster api.Ref `json:"cluster"`
	Pool    string  `json:"pool"`
}

// PoolPlan is where machines of a pool can be launched.
type PoolPlan struct {
	// Placements are ranked: the cheapest first, then those that failed lately. They are never empty. PriceTotal is
	// that of all machines of the pool.
	Placements []api.Placement `json:"placements"`
	// Asked are the machines that the placements are for. Older results lack it.
	Asked *api.PoolMachines `json:"asked,omitempty"`
}

// Spec returns the machine spec that the placements are for; nil if that is unknown.
func (p PoolPlan) Spec() *api.MachineSpec {
	if p.Asked == nil {
		return nil
	}
	return &p.Asked.Machine
}

// PlanPool ranks the placements for the machines that a pool lacks, in the region of its cluster. If the pool asks for
// spot machines and falls back, machines at the full price follow. Without a placement it fails: with InvalidSpec if
// the region does not offer such machines, else with the cloud's kind of error.
func (a *Activities) PlanPool(ctx context.Context, in PlanPoolInput) (PoolPlan, error) {
	const step = "find a placement for the pool"
	c, err := a.Store.ReadClusterObject(ctx, in.Cluster)
	if err != nil {
		return PoolPlan{}, activities.StepError(ctx, step, "", err)
	}
	pool := c.Spec.FindPool(in.Pool)
	if pool == nil {
		return PoolPlan{}, activities.StepError(ctx, step, "", &cloud.Error{Kind: cloud.Infeasible,
			Message: "the cluster no longer has the pool " + in.Pool})
	}
	// If a cloud has no room for many machines of a pool, each of them asks.
	asked := pool.Machines()
	shared, err, _ := a.poolRankings.Do(fmt.Sprintf("%s/%s/%v", in.Cluster.UID, in.Pool, asked), func() (any, error) {
		return a.rankPoolOf(ctx, in.Cluster, *pool)
	})
	if err != nil {
		return PoolPlan{}, activities.StepError(ctx, step, "", fmt.Errorf("pool %s: %w", in.Pool, err))
	}
	ranked := cloud.PostponeFailed(shared.([]api.Placement), c.Status.RecentPoolAttempts(in.Pool, a.Now()))
	return PoolPlan{Placements: ranked, Asked: &asked}, nil
}

// rankPoolOf ranks the placements for a pool of a cluster that is recorded. The pool need not be.
func (a *Activities) rankPoolOf(ctx context.Context, ref api.Ref, pool api.Pool) ([]api.Placement, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, err
	}
	return a.rankPool(ctx, c, pool)
}

// rankPool ranks the placements for the machines that a pool lacks, the cheapest first.
func (a *Activities) rankPool(ctx context.Context, c *api.Cluster, pool api.Pool) ([]api.Placement, error) {
	group, beside := c.PoolRequest(pool)
	onCloud, err := a.Clouds.FindCloud(group.Cloud)
	if err != nil {
		return nil, err
	}
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	ranked, err := rankWithFallback(queryCtx, onCloud, group, beside, pool.SpotFallback)
	if err != nil {
		return nil, err
	}
	for i := range ranked { // so that the same placement stays equal while the pool gets its machines
		ranked[i].PriceTotal = ranked[i].PricePerMachine * float64(pool.Replicas)
	}
	return ranked, nil
}

// rankWithFallback ranks the placements of a group. Those at the full price follow if its spot machines may fall back
// on them; they count even if the cloud has no spot machines at all. A cloud that does not answer is an error in any
// case, because the answer may differ from the next one.
func rankWithFallback(ctx context.Context, onCloud cloud.Cloud, group api.GroupSpec, beside api.Neighbors,
	fallback string) ([]api.Placement, error) {
	ranked, err := onCloud.RankPlacements(ctx, group, beside)
	if group.UseSpot && fallback == api.SpotFallbackOnDemand && !mayPass(err) {
		group.UseSpot = false
		full, fullErr := onCloud.RankPlacements(ctx, group, beside)
		for _, p := range full {
			p.OnDemand = true
			ranked = append(ranked, p)
		}
		if len(ranked) > 0 && !mayPass(fullErr) {
			return ranked, nil
		}
		err = errors.Join(err, fullErr)
	}
	if err == nil && len(ranked) == 0 {
		err = errNoPlacement
	}
	return ranked, err
}

// errNoPlacement says that the region of a cluster does not offer the machines of a pool.
var errNoPlacement = &cloud.Error{Kind: cloud.Infeasible, Message: "no placement satisfies the spec"}

// mayPass reports whether an error says nothing about the placements: the cloud has to be asked again.
func mayPass(err error) bool {
	kind := cloud.KindOf(err)
	return err != nil && len(api.FieldErrorsOf(err)) == 0 && (kind == cloud.Unreachable || kind == cloud.Transient)
}

// PoolAttemptInput records a placement that could not give a pool a machine.
type PoolAttemptInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Pool      string        `json:"pool"`
	Placement api.Placement `json:"placement"`
	Failure   api.Failure   `json:"failure"`
}

// RecordPoolAttempt adds a failed placement to what is known of a pool, so that PlanPool tries others first. A pool
// that is gone gets only the event.
func (a *Activities) RecordPoolAttempt(ctx context.Context, in PoolAttemptInput) error {
	failed := api.FailedPlacement{Placement: in.Placement, Machine: in.Failure.Machine, Reason: in.Failure.Reason,
		Message: redact.Text(in.Failure.Message), At: a.Now()}
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		if c.Spec.FindPool(in.Pool) != nil {
			c.Status.AddPoolAttempt(in.Pool, failed)
		}
		return nil
	})
	if err != nil {
		return activities.StepError(ctx, "record a failed placement", "", err)
	}
	e := activities.NewEvent(c, in.Failure.Machine, api.EventWarning, in.Failure.Reason, fmt.Sprintf(
		"%s could not give pool %s a machine: %s", in.Placement.Describe(), in.Pool, in.Failure.Message))
	e.First, e.Last = failed.At, failed.At
	activities.RecordEvent(ctx, a.Store, e)
	return nil
}
