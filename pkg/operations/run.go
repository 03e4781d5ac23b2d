package operations

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
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

// start begins an operation on a cluster; alreadyStarted tells whether its error says that one is running.
func (c *Client) start(ctx context.Context, t client.Client, cluster, workflow, summary string, input any) error {
	call, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	options := client.StartWorkflowOptions{
		ID:        api.OperationID(cluster),
		TaskQueue: c.cfg.Temporal.TaskQueue,
		// Without it a start on a running id attaches to whatever runs there, another workflow type included.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:                            summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(api.SearchClusterName).ValueSet(cluster),
			temporal.NewSearchAttributeKeyKeyword(api.SearchOperation).ValueSet(workflow)),
	}
	_, err := t.ExecuteWorkflow(call, options, workflow, input)
	if lacksSearchAttributes(err) {
		// They only help to list operations. A Temporal that was told of them learns it up to a minute later.
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		_, err = t.ExecuteWorkflow(call, options, workflow, input)
	}
	return err
}

// lacksSearchAttributes says whether Temporal refused a start because the namespace has no such search attributes, or has
// yet to find them; it says so in words only.
func lacksSearchAttributes(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &invalid) && strings.Contains(strings.ToLower(invalid.Message), "search attribute")
}

func alreadyStarted(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
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
