// Package start begins operations on clusters, one at a time on each, for whoever asks: a person's command, or a sweep.
package start

import (
	"context"
	"errors"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// Operation begins an operation on a cluster. IsAlreadyRunning tells whether its error says that one works on it.
func Operation(ctx context.Context, t client.Client, taskQueue, cluster, workflow, summary string, input any) error {
	options := client.StartWorkflowOptions{
		ID:        operation.WorkflowID(cluster),
		TaskQueue: taskQueue,
		// Without it a start on a running id attaches to whatever runs there, another workflow type included.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:                            summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(operation.SearchClusterName).ValueSet(cluster),
			temporal.NewSearchAttributeKeyKeyword(operation.SearchOperation).ValueSet(workflow)),
	}
	return WithOptions(ctx, t, options, workflow, input)
}

// WithOptions starts a workflow without its search attributes where Temporal does not have them: they only help to list
// operations, and a Temporal that was told of them learns it up to a minute later.
func WithOptions(ctx context.Context, t client.Client, options client.StartWorkflowOptions, workflow string,
	input any) error {
	_, err := t.ExecuteWorkflow(ctx, options, workflow, input)
	if lacksSearchAttributes(err) {
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		_, err = t.ExecuteWorkflow(ctx, options, workflow, input)
	}
	return err
}

// lacksSearchAttributes says whether Temporal refused a start because the namespace has no such search attributes, or
// has yet to find them; it says so in words only.
func lacksSearchAttributes(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &invalid) && strings.Contains(strings.ToLower(invalid.Message), "search attribute")
}

// IsAlreadyRunning says whether an operation works on the cluster already.
func IsAlreadyRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}
