package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// operationRun is the latest workflow with the operation id of a cluster; the zero value means none.
type operationRun struct {
	id       string
	workflow string
	open     bool
	started  time.Time
}

func (c *Client) readLatestRun(ctx context.Context, t client.Client, cluster string) (operationRun, error) {
	var d *workflowservice.DescribeWorkflowExecutionResponse
	err := c.callTemporal(ctx, dialTimeout, func(ctx context.Context) (err error) {
		d, err = t.DescribeWorkflowExecution(ctx, operation.WorkflowID(cluster), "")
		return err
	})
	var missing *serviceerror.NotFound
	switch {
	case errors.As(err, &missing):
		return operationRun{}, nil
	case err != nil:
		return operationRun{}, c.toTemporalError(ctx, err)
	}
	info := d.GetWorkflowExecutionInfo()
	return operationRun{
		id:       info.GetExecution().GetRunId(),
		workflow: info.GetType().GetName(),
		open:     info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
		started:  info.GetStartTime().AsTime(),
	}, nil
}

// readOutcome returns the error with which a closed run ended; nil if it completed. err says that Temporal did not
// tell.
func (c *Client) readOutcome(ctx context.Context, t client.Client, cluster string, r operationRun) (ended, err error) {
	err = c.callTemporal(ctx, dialTimeout, func(ctx context.Context) error {
		return t.GetWorkflow(ctx, operation.WorkflowID(cluster), r.id).Get(ctx, nil)
	})
	if over := new(temporal.WorkflowExecutionError); err == nil || errors.As(err, &over) {
		return err, nil
	}
	if silent := c.toTemporalError(ctx, err); ctx.Err() != nil || isUnreachable(silent) {
		return nil, silent
	}
	return err, nil // the run is forgotten, say
}

// startOperation starts an operation on a cluster. If one is running, start.IsAlreadyRunning is true for the error; it
// may be this one, if Temporal was slow to answer.
func (c *Client) startOperation(ctx context.Context, t client.Client, cluster, workflow, summary string,
	input any) error {
	return c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) error {
		return start.Operation(ctx, t, c.cfg.Temporal.TaskQueue, cluster, workflow, summary, input)
	})
}

// backOff is a pause that doubles up to a limit, with jitter.
type backOff struct{ next, most time.Duration }

func newBackOff(first, most time.Duration) *backOff { return &backOff{next: first, most: most} }

func (b *backOff) waitNext(ctx context.Context) error {
	d := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, b.most)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
