package machines

import (
	"context"
	"errors"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// CheckSpec ranks the placements for a new cluster or for a pool, without writing anything. What is wrong with the spec
// is a result, not an error.
func (a *Activities) CheckSpec(ctx context.Context, in operation.PlanInput) (operation.PlanResult, error) {
	const step = "plan"
	if in.WorkerOnly {
		return operation.PlanResult{Worker: a.newWorkerInfo()}, nil
	}
	var placements []api.Placement
	var pools []api.PoolPlacement
	var err error
	var invalid []api.FieldError
	switch {
	case in.Pool != nil:
		placements, err = a.rankPoolOf(ctx, in.Pool.Cluster, in.Pool.Pool)
		invalid = api.FieldErrorsOf(err)
	case in.Cluster != nil:
		placements, pools, err = a.rankNewPools(ctx, *in.Cluster)
		invalid = append(api.FieldErrorsOf(err), a.RKE2.CheckRelease(ctx, in.Spec)...)
		invalid = append(invalid, rke2.CheckImages(in.Cluster.RKE2.Images)...)
	default:
		placements, err = a.rankNewCluster(ctx, in.Spec)
		invalid = append(api.FieldErrorsOf(err), a.RKE2.CheckRelease(ctx, in.Spec)...)
	}
	switch {
	case len(invalid) > 0:
		return operation.PlanResult{Invalid: invalid}, nil
	case errors.Is(err, errNoPlacement): // as for a new cluster
		return operation.PlanResult{Worker: a.newWorkerInfo()}, nil
	}
	if cloud.KindOf(err) == cloud.Unreachable {
		// a person waits for the answer and has to fix it
		return operation.PlanResult{}, activities.MakeFinal(activities.StepError(ctx, step, "", err))
	}
	return operation.PlanResult{Placements: placements, Pools: pools,
			Warnings: a.listWarnings(in, placements, pools), Worker: a.newWorkerInfo()},
		activities.StepError(ctx, step, "", err)
}

// listWarnings lists what the cloud of a new cluster warns of, for the best placement.
func (a *Activities) listWarnings(in operation.PlanInput, ranked []api.Placement,
	pools []api.PoolPlacement) []api.Finding {
	if in.Pool != nil || len(ranked) == 0 {
		return nil
	}
	c, err := a.Clouds.FindCloud(in.Spec.Cloud)
	if err != nil {
		return nil
	}
	if w, ok := c.(cloud.Warner); ok {
		return w.ListWarnings(listMachinePlacements(in, ranked[0], pools))
	}
	return nil
}

// listMachinePlacements returns the placement of each machine of a new cluster: best, or that of its pool.
func listMachinePlacements(in operation.PlanInput, best api.Placement, pools []api.PoolPlacement) []api.Placement {
	if in.Cluster == nil {
		return slices.Repeat([]api.Placement{best}, max(1, in.Spec.NumNodes))
	}
	all := slices.Repeat([]api.Placement{best}, max(0, in.Cluster.ControlPlane.Replicas))
	for _, p := range in.Cluster.Pools {
		its := api.FindPoolPlacement(pools, p.Name, best)
		all = append(all, slices.Repeat([]api.Placement{its}, max(0, p.Replicas))...)
	}
	return all
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
	placements, err := c.RankPlacements(queryCtx, spec, api.Neighbors{})
	return spec.PreferServerSized(placements), err
}

// rankNewPools checks the groups of a cluster that does not exist yet, and ranks the placements for all of them. The
// field errors of each group name the path of the field in a file.
func (a *Activities) rankNewPools(ctx context.Context, spec api.ClusterSpec) ([]api.Placement, []api.PoolPlacement,
	error) {
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	c, err := a.Clouds.FindCloud(spec.Cloud)
	if err != nil {
		return nil, nil, err
	}
	groups := spec.PlacementGroups()
	var invalid []error
	for _, g := range groups {
		if g.SpotFallback != "" {
			continue // the ranking knows whether the cloud has what they fall back on
		}
		err := c.ValidateSpec(queryCtx, g.GroupSpec)
		located := g.LocateErrors(err)
		if err != nil && len(located) == 0 {
			return nil, nil, err
		}
		invalid = append(invalid, located...)
	}
	if len(invalid) > 0 {
		return nil, nil, errors.Join(invalid...)
	}
	ranked, err := rankCluster(queryCtx, c, groups)
	if err != nil {
		return nil, nil, err
	}
	var placements []api.Placement
	for _, p := range ranked {
		placements = append(placements, p.Placement)
	}
	return placements, ranked[0].Pools, nil
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
