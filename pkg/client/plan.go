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

const (
	// planTimeout bounds the question to the clouds. Running out of time costs nothing: a plan changes nothing.
	planTimeout = 5 * time.Minute
	// noWorkerAfter is how long a task queue may be without a worker before a wait that needs one is given up.
	noWorkerAfter = 10 * time.Second
)

// PlanPlacements asks the clouds where all machines of a spec can go, the best place first. What they find wrong with
// the spec comes back as joined *api.FieldErrors.
func (c *Client) PlanPlacements(ctx context.Context, spec api.ClusterSpec) ([]api.Placement, error) {
	return c.PlanPlacementsWith(ctx, spec, nil)
}

// PlanPlacementsWith is Plan by a worker that accept, unless it is nil, finds fit. Its argument is nil where the worker
// does not say what it is, as those of before.
func (c *Client) PlanPlacementsWith(ctx context.Context, spec api.ClusterSpec,
	accept func(*operation.WorkerInfo) error) ([]api.Placement, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return nil, err
	}
	id := "plan/" + uuid.NewString()
	call, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	r, err := t.ExecuteWorkflow(call, client.StartWorkflowOptions{
		ID: id, TaskQueue: c.cfg.Temporal.TaskQueue, WorkflowExecutionTimeout: planTimeout,
		StaticSummary: spec.Summarize(),
	}, operation.WorkflowPlan, operation.PlanInput{Spec: spec})
	cancel()
	if err != nil {
		return nil, c.toTemporalError(ctx, err)
	}
	var result operation.PlanResult
	if err := c.awaitResult(ctx, t, r, &result); err != nil {
		c.abandonWorkflow(ctx, t, r)
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
	if len(result.Placements) == 0 {
		return nil, fmt.Errorf("no place has what was asked for (%s); ask for less, or for another cloud or region",
			spec.Summarize())
	}
	return result.Placements, nil
}

// awaitResult waits for a workflow's result, and gives up where nobody listens who could bring it.
func (c *Client) awaitResult(ctx context.Context, t client.Client, r client.WorkflowRun, result any) error {
	got := make(chan error, 1)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { got <- r.Get(wait, result) }()
	check := time.NewTicker(c.checkEvery)
	defer check.Stop()
	lonely := c.newWorkerCheck()
	for {
		select {
		case err := <-got:
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			if unreachable := c.toTemporalError(ctx, err); isUnreachable(unreachable) {
				return unreachable
			}
			return fmt.Errorf("%s", failureReason(err))
		case <-check.C:
			if err := lonely(ctx, t); err != nil {
				return err
			}
		}
	}
}

// abandonWorkflow ends a plan whose answer nobody waits for any more; whether that succeeds does not matter.
func (c *Client) abandonWorkflow(ctx context.Context, t client.Client, r client.WorkflowRun) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = t.TerminateWorkflow(call, r.GetID(), r.GetRunID(), "nobody waits for the answer any more")
}

// newWorkerCheck makes a check that fails once no worker has been listening for a while.
func (c *Client) newWorkerCheck() func(context.Context, client.Client) error {
	var since time.Time
	return func(ctx context.Context, t client.Client) error {
		listening, err := c.hasActiveWorker(ctx, t)
		switch {
		case err != nil:
			return err
		case listening:
			since = time.Time{}
		case since.IsZero():
			since = c.now()
		case c.now().Sub(since) >= noWorkerAfter-c.checkEvery:
			return c.newNoWorkerError("")
		}
		return nil
	}
}

func isUnreachable(err error) bool {
	var u *UnreachableError
	return errors.As(err, &u)
}
