package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// startBringUp starts a BringUp as a child. Its id names the cluster, the pool, and the first machine: no machine is in
// two groups at the same time. The child ends before its parent, which waits for it even if it is cancelled.
func startBringUp(ctx workflow.Context, in BringUpInput) workflow.ChildWorkflowFuture {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: fmt.Sprintf("%s/%s/%d", operation.WorkflowID(in.Cluster.Name), in.Pool,
			in.Machines[0].Index),
		WaitForCancellation: true,
		ParentClosePolicy:   enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		StaticSummary: fmt.Sprintf("Bring up %s of pool %s of %s", api.FormatMachines(len(in.Machines)), in.Pool,
			in.Cluster.Name),
	})
	return workflow.ExecuteChildWorkflow(ctx, BringUp, in)
}

// startGroup brings up machines of a pool in a child. The positions are those of the actions.
func (r *convergeRun) startGroup(ctx workflow.Context, pool string, actions []observe.RepairAction,
	started []*runningAction, positions []int) {
	in := BringUpInput{Cluster: r.cluster, Pool: pool, JoinsAtOnce: max(1, joinsAtOnce/r.groups)}
	for _, i := range positions {
		in.Machines = append(in.Machines, actions[i].On)
		in.Placements = append(in.Placements, actions[i].Placement)
		if isBilled(actions[i].Placement) {
			in.PowerOffAt = workflow.Now(ctx).Add(operation.DefaultProvisionTimeout + powerOffMargin)
		}
	}
	child := startBringUp(ctx, in)
	for _, i := range positions {
		index := actions[i].Index
		started[i].stop = func(ctx workflow.Context) {
			workflow.Go(ctx, func(ctx workflow.Context) {
				if err := child.SignalChildWorkflow(ctx, signalStopMachine, index).Get(ctx, nil); err != nil {
					workflow.GetLogger(ctx).Warn("a machine was not stopped", "index", index, "error", err)
				}
			})
		}
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		clean, _ := workflow.NewDisconnectedContext(ctx)
		err := child.Get(clean, nil)
		r.groups--
		if err == nil { // of a machine whose outcome did not come
			err = temporal.NewApplicationError("it is not known how the bring-up ended", "Unknown")
		}
		for _, i := range positions {
			started[i].endWith(err) // unless its outcome came before
		}
	})
}

// receiveOutcomes takes the outcomes of machines from the children.
func (r *convergeRun) receiveOutcomes(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		clean, _ := workflow.NewDisconnectedContext(ctx)
		for {
			var outcomes []machineOutcome
			workflow.GetSignalChannel(ctx, signalMachinesEnded).Receive(clean, &outcomes)
			for _, o := range outcomes {
				r.endBringUp(o)
			}
		}
	})
}

func (r *convergeRun) endBringUp(o machineOutcome) {
	for _, a := range r.running {
		if a.entry.Action.Kind == api.ActionBringUp && a.entry.Action.Index == o.Index {
			a.endWith(o.toError())
		}
	}
}

// toError is how the bring-up of a machine ended, as an error.
func (o machineOutcome) toError() error {
	switch {
	case o.Stopped:
		return temporal.NewCanceledError()
	case o.Failure != nil:
		return temporal.NewApplicationErrorWithOptions(o.Failure.Message, o.Failure.Reason,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{*o.Failure}})
	}
	return nil
}

// bringUpGroup brings up workers of a create in a child.
func (a *placementAttempt) bringUpGroup(ctx workflow.Context, in BringUpInput) error {
	child := startBringUp(ctx, in)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Await(ctx, func() bool { return a.bringUp.joins.open }) != nil {
			return
		}
		if err := child.SignalChildWorkflow(ctx, signalServerAccepts, nil).Get(ctx, nil); err != nil {
			workflow.GetLogger(ctx).Warn("a group was not told that workers can join", "error", err)
		}
	})
	clean, _ := workflow.NewDisconnectedContext(ctx)
	var result BringUpResult
	err := child.Get(clean, &result)
	for _, m := range result.Machines {
		a.progress.replaceMachine(m)
		a.progress.setReady(ctx, m)
	}
	if stopped := new(temporal.CanceledError); errors.As(err, &stopped) && stopped.HasDetails() {
		var steps []machineStep
		if stopped.Details(&steps) == nil {
			a.progress.takeOverSteps(ctx, steps)
		}
	}
	return err
}
