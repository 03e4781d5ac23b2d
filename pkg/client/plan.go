package client

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// planTimeout bounds a plan. A plan changes nothing, so running out of time does no harm.
const planTimeout = 5 * time.Minute

// ClusterPlan is where a new cluster goes.
type ClusterPlan struct {
	// Placements are those of the control plane, the best first. PriceTotal is that of the whole cluster.
	Placements []api.Placement
	// Pools are the placements of the pools that are requested with another machine spec, beside the best placement.
	Pools []api.PoolPlacement
	// Warnings may do harm: those of the spec itself, then those of the cloud.
	Warnings []api.Finding
}

// PlanCluster returns the placements for all machines of a new cluster, whose pools can have machine specs of their
// own. If the clouds reject fields of the spec, the error joins *api.FieldErrors, which have the paths of a file. If no
// cloud has such machines, it is a *NoPlacementError. accept can refuse the worker that made the plan; nil accepts all.
// Its argument is nil if the worker is too old to describe itself.
func (c *Client) PlanCluster(ctx context.Context, spec api.ClusterSpec,
	accept func(*operation.WorkerInfo) error) (ClusterPlan, error) {
	request := spec.CreateRequest()
	alike := api.CompareClusters(&api.Cluster{Spec: api.NewClusterSpec(request)}, &api.Cluster{Spec: spec})
	if len(alike) == 0 { // older workers rank the placements for such a request too
		r, err := c.runPlan(ctx, operation.PlanInput{Spec: request}, accept)
		return newClusterPlan(spec, r), err
	}
	knowsPools := func(w *operation.WorkerInfo) error {
		if accept != nil {
			if err := accept(w); err != nil {
				return err
			}
		}
		if w == nil || w.Level < api.ObjectLevel {
			return &OldWorkerError{TaskQueue: c.cfg.Temporal.TaskQueue}
		}
		return nil
	}
	r, err := c.runPlan(ctx, operation.PlanInput{Spec: spec.ControlPlaneGroup(), Cluster: &spec}, knowsPools)
	return newClusterPlan(spec, r), err
}

func newClusterPlan(spec api.ClusterSpec, r operation.PlanResult) ClusterPlan {
	return ClusterPlan{Placements: r.Placements, Pools: r.Pools, Warnings: append(spec.FindWarnings(), r.Warnings...)}
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
	r, err := c.runPlan(ctx, operation.PlanInput{Spec: spec,
		Pool: &operation.PoolQuestion{Cluster: cl.Ref(), Pool: pool}}, accept)
	return r.Placements, err
}

func (c *Client) runPlan(ctx context.Context, in operation.PlanInput,
	accept func(*operation.WorkerInfo) error) (operation.PlanResult, error) {
	spec := in.Spec
	result, err := runShortWorkflow[operation.PlanResult](ctx, c, client.StartWorkflowOptions{
		ID: "plan/" + uuid.NewString(), WorkflowExecutionTimeout: planTimeout, StaticSummary: spec.Summarize(),
	}, operation.WorkflowPlan, in)
	if err != nil {
		return operation.PlanResult{}, err
	}
	if len(result.Invalid) > 0 {
		var all []error
		for _, f := range result.Invalid {
			all = append(all, &f)
		}
		return operation.PlanResult{}, errors.Join(all...)
	}
	if accept != nil {
		if err := accept(result.Worker); err != nil {
			return operation.PlanResult{}, err
		}
	}
	if in.WorkerOnly {
		return operation.PlanResult{}, nil
	}
	if len(result.Placements) == 0 {
		return operation.PlanResult{}, &NoPlacementError{Request: spec.Summarize()}
	}
	return result, nil
}
