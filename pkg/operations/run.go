package operations

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/start"
)

// run is the latest workflow under a cluster's operation id; its zero value says that there is none.
type run struct {
	id       string
	workflow string
	open     bool
}

func (c *Client) run(ctx context.Context, t client.Client, cluster string) (run, error) {
	call, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d, err := t.DescribeWorkflowExecution(call, api.OperationID(cluster), "")
	var missing *serviceerror.NotFound
	switch {
	case errors.As(err, &missing):
		return run{}, nil
	case err != nil:
		return run{}, c.temporalError(ctx, err)
	}
	info := d.GetWorkflowExecutionInfo()
	return run{
		id:       info.GetExecution().GetRunId(),
		workflow: info.GetType().GetName(),
		open:     info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
	}, nil
}

// outcome is what a closed run had to say; nil means that it completed.
func (c *Client) outcome(ctx context.Context, t client.Client, cluster string, r run) error {
	call, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return t.GetWorkflow(call, api.OperationID(cluster), r.id).Get(call, nil)
}

// start begins an operation on a cluster; start.AlreadyRunning tells whether its error says that one is running.
func (c *Client) start(ctx context.Context, t client.Client, cluster, workflow, summary string, input any) error {
	call, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	return start.Operation(call, t, c.cfg.Temporal.TaskQueue, cluster, workflow, summary, input)
}

// backOff is a pause that grows up to a limit.
type backOff struct{ next, most time.Duration }

func newBackOff(first, most time.Duration) *backOff { return &backOff{next: first, most: most} }

func (b *backOff) pause(ctx context.Context) error {
	d := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, b.most)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
