// Package start starts operations for commands and sweeps, one at a time on each cluster.
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

// Operation starts an operation on a cluster. If one is running, IsAlreadyRunning is true for the error.
func Operation(ctx context.Context, t client.Client, taskQueue, cluster, workflow, summary string, input any) error {
	return WithOptions(ctx, t, newOperationOptions(taskQueue, cluster, workflow, summary), workflow, input)
}

// SignalConverge signals the operation that runs on a cluster, of any type, that the cluster's object has changed. If
// none runs, it starts Converge.
func SignalConverge(ctx context.Context, t client.Client, taskQueue, summary string,
	input operation.ConvergeInput) error {
	return SignalOperation(ctx, t, taskQueue, input.Cluster.Name, operation.WorkflowConverge, summary, input)
}

// SignalOperation is SignalConverge with another workflow, which starts if none runs.
func SignalOperation(ctx context.Context, t client.Client, taskQueue, cluster, workflow, summary string,
	input any) error {
	return signalWithStart(ctx, t, newOperationOptions(taskQueue, cluster, workflow, summary), workflow, input)
}

// SignalKeepSnapshots tells the workflow that keeps the snapshots of a cluster that their records have changed. If none
// runs, it starts one.
func SignalKeepSnapshots(ctx context.Context, t client.Client, taskQueue string,
	input operation.KeepSnapshotsInput) error {
	return signalWithStart(ctx, t, newKeepSnapshotsOptions(taskQueue, input), operation.WorkflowKeepSnapshots, input)
}

// KeepSnapshots starts the workflow that keeps the snapshots of a cluster. If it is running, IsAlreadyRunning is true
// for the error.
func KeepSnapshots(ctx context.Context, t client.Client, taskQueue string, input operation.KeepSnapshotsInput) error {
	return WithOptions(ctx, t, newKeepSnapshotsOptions(taskQueue, input), operation.WorkflowKeepSnapshots, input)
}

func newKeepSnapshotsOptions(taskQueue string, input operation.KeepSnapshotsInput) client.StartWorkflowOptions {
	name := input.Cluster.Name
	options := newOperationOptions(taskQueue, name, operation.WorkflowKeepSnapshots, "Keep the snapshots of "+name)
	options.ID = operation.KeepSnapshotsID(name)
	return options
}

// VerifySnapshots tells the workflow that verifies snapshots that a verification was requested. If none runs, it starts
// one.
func VerifySnapshots(ctx context.Context, t client.Client, taskQueue string) error {
	options := client.StartWorkflowOptions{
		ID: operation.VerifySnapshotsID, TaskQueue: taskQueue, StaticSummary: "Verify snapshots",
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword(
			operation.SearchOperation).ValueSet(operation.WorkflowVerifySnapshots)),
	}
	return signalWithStart(ctx, t, options, operation.WorkflowVerifySnapshots)
}

func signalWithStart(ctx context.Context, t client.Client, options client.StartWorkflowOptions, workflow string,
	input ...any) error {
	signal := func() error {
		_, err := t.SignalWithStartWorkflow(ctx, options.ID, operation.SignalChanged, nil, options, workflow, input...)
		return err
	}
	err := signal()
	if lacksSearchAttributes(err) {
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		err = signal()
	}
	return err
}

func newOperationOptions(taskQueue, cluster, workflow, summary string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:        operation.WorkflowID(cluster),
		TaskQueue: taskQueue,
		// Without it, a start with the id of a running workflow returns that workflow, even of another type.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:                            summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword(operation.SearchClusterName).ValueSet(cluster),
			temporal.NewSearchAttributeKeyKeyword(operation.SearchOperation).ValueSet(workflow)),
	}
}

// WithOptions starts a workflow, without its search attributes if Temporal does not have them. They only help to list
// operations, and a Temporal server knows new ones after up to a minute.
func WithOptions(ctx context.Context, t client.Client, options client.StartWorkflowOptions, workflow string,
	input any) error {
	_, err := t.ExecuteWorkflow(ctx, options, workflow, input)
	if lacksSearchAttributes(err) {
		options.TypedSearchAttributes = temporal.SearchAttributes{}
		_, err = t.ExecuteWorkflow(ctx, options, workflow, input)
	}
	return err
}

// lacksSearchAttributes reports whether Temporal refused a start because it does not know the search attributes. Only
// the message says so.
func lacksSearchAttributes(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &invalid) && strings.Contains(strings.ToLower(invalid.Message), "search attribute")
}

// IsAlreadyRunning reports whether a start failed because an operation is running.
func IsAlreadyRunning(err error) bool {
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	return errors.As(err, &running)
}
