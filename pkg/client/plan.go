package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// planTimeout bounds a plan. A plan changes nothing, so running out of time does no harm.
const planTimeout = 5 * time.Minute

// PlanPlacements returns the placements for all machines of a spec, the best first. If the clouds reject fields of the
// spec, the error joins *api.FieldErrors.
func (c *Client) PlanPlacements(ctx context.Context, spec api.GroupSpec) ([]api.Placement, error) {
	return c.PlanPlacementsWith(ctx, spec, nil)
}

// PlanPlacementsWith is PlanPlacements; accept can refuse the worker that made the plan. Its argument is nil if the
// worker is too old to describe itself.
func (c *Client) PlanPlacementsWith(ctx context.Context, spec api.GroupSpec,
	accept func(*operation.WorkerInfo) error) ([]api.Placement, error) {
	return c.runPlan(ctx, operation.PlanInput{Spec: spec}, accept)
}

// CheckWorker lets accept judge the worker that carries out operations, without asking a cloud. An older worker ranks
// placements for the spec instead, and describes itself, or not at all.
func (c *Client) CheckWorker(ctx context.Context, spec api.GroupSpec, accept func(*operation.WorkerInfo) error) error {
	_, err := c.runPlan(ctx, operation.PlanInput{Spec: spec, WorkerOnly: true}, accept)
	return err
}

// PlanPool returns the placements for the machines that a pool of a cluster lacks, at least one, the best first. The
// pool need not be stored yet. If the clouds reject it, the error joins *api.FieldErrors.
func (c *Client) PlanPool(ctx context.Context, cl *api.Cluster, pool api.Pool,
	accept func(*operation.WorkerInfo) error) ([]api.Placement, error) {
	spec := cl.Spec.PoolGroup(pool)
	return c.runPlan(ctx, operation.PlanInput{Spec: spec, Pool: &operation.PoolQuestion{Cluster: cl.Ref(), Pool: pool}},
		accept)
}

func (c *Client) runPlan(ctx context.Context, in operation.PlanInput,
	accept func(*operation.WorkerInfo) error) ([]api.Placement, error) {
	spec := in.Spec
	run, err := c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: "plan/" + uuid.NewString(), WorkflowExecutionTimeout: planTimeout, StaticSummary: spec.Summarize(),
	}, operation.WorkflowPlan, in)
	if err != nil {
		return nil, err
	}
	var result operation.PlanResult
	if err := run.awaitResultOrAbandon(ctx, &result); err != nil {
		return nil, err
	}
	if len(result.Invalid) > 0 {
		var all []error
		for _, f := range result.Invalid {
			all = append(all, &f)
		}
		return nil, errors.Join(all...)
	}
	if accept != nil {
		if err := accept(result.Worker); err != nil {
			return nil, err
		}
	}
	if in.WorkerOnly {
		return nil, nil
	}
	if len(result.Placements) == 0 {
		return nil, fmt.Errorf("no placement satisfies the request (%s); request less, or another cloud or region",
			spec.Summarize())
	}
	return result.Placements, nil
}
