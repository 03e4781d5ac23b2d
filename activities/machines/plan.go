package machines

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// CheckSpec ranks the placements for a new cluster or for a pool, without writing anything. What is wrong with the spec
// is a result, not an error.
func (a *Activities) CheckSpec(ctx context.Context, in operation.PlanInput) (operation.PlanResult, error) {
	const step = "plan"
	if in.WorkerOnly {
		return operation.PlanResult{Worker: a.newWorkerInfo()}, nil
	}
	var placements []api.Placement
	var err error
	var invalid []api.FieldError
	if in.Pool != nil {
		placements, err = a.rankPoolOf(ctx, in.Pool.Cluster, in.Pool.Pool)
		invalid = api.FieldErrorsOf(err)
	} else {
		placements, err = a.rankNewCluster(ctx, in.Spec)
		invalid = append(api.FieldErrorsOf(err), a.RKE2.CheckRelease(ctx, in.Spec)...)
	}
	if len(invalid) > 0 {
		return operation.PlanResult{Invalid: invalid}, nil
	}
	if cloud.KindOf(err) == cloud.Unreachable {
		// a person waits for the answer and has to fix it
		return operation.PlanResult{}, activities.MakeFinal(activities.StepError(ctx, step, "", err))
	}
	return operation.PlanResult{Placements: placements, Worker: a.newWorkerInfo()},
		activities.StepError(ctx, step, "", err)
}

// rankNewCluster checks the spec of a cluster that does not exist yet, and ranks its placements.
func (a *Activities) rankNewCluster(ctx context.Context, spec api.GroupSpec) ([]api.Placement, error) {
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	c, err := a.Clouds.FindCloud(spec.Cloud)
	if err != nil {
		return nil, err
	}
	if err := c.ValidateSpec(queryCtx, spec); err != nil {
		return nil, err
	}
	return c.RankPlacements(queryCtx, spec, api.Neighbors{})
}

// Plan ranks the placements for a cluster.
func (a *Activities) Plan(ctx context.Context, ref api.Ref) ([]ClusterPlacement, error) {
	const step = "plan"
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	onCloud, err := a.Clouds.FindCloud(c.Spec.Cloud)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	placements, err := rankCluster(queryCtx, onCloud, c.Spec.PlacementGroups())
	if err != nil {
		return placements, activities.RecordCreateBlocked(ctx, a.Store, c, a.Now(),
			activities.StepError(ctx, step, "", err))
	}
	return placements, activities.StepError(ctx, step, "", activities.ClearCreateBlocked(ctx, a.Store, c))
}
