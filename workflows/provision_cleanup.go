package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// cleanUpAndFail terminates the machines, records the failure, and returns the operation's error. It runs on a context
// that is not cancelled; ctx only tells whether the operation is.
func (p *provisionRun) cleanUpAndFail(ctx workflow.Context, err error) error {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if isGPUStackError(err) {
		failure.Step = api.StepGPU
	}
	for {
		cancelledBefore := ctx.Err() != nil
		wanted, end := readWantedState(clean, p.cluster)
		if end != nil {
			return end
		}
		// The log is RKE2's, which works when the GPU stack fails.
		if failure.Machine != "" && len(failure.Log) == 0 && !isGPUStackError(err) {
			failure.Log = readLastLogLines(clean, p.progress, failure.Machine)
		}
		if wanted.KeepMachines || isGPUStackError(err) {
			break
		}
		left := p.terminateUntilCancelled(ctx, clean)
		if left != nil && ctx.Err() != nil && !cancelledBefore {
			continue // a delete may have cancelled the operation
		}
		if left != nil {
			failure.Message += "; not all machines could be terminated, delete the cluster to try again: " +
				failureOf(left).Message
		}
		break
	}
	if err := outcomeWrite.runActivity(clean, p.cluster.Name+": mark ERROR", clusterActivities.MarkFailed,
		record.MarkFailedInput{Cluster: p.cluster, Failure: failure}); err != nil {
		return err
	}
	if temporal.IsCanceledError(err) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}

// readWantedState reads what is wanted of a cluster whose operation did not succeed. An error ends the operation: if
// the cluster is to be deleted, it continues as Delete.
func readWantedState(ctx workflow.Context, cluster api.Ref) (record.WantedState, error) {
	var wanted record.WantedState
	err := outcomeWrite.runForResult(ctx, cluster.Name+": read the wanted state", &wanted, clusterActivities.Wanted,
		cluster)
	switch {
	case errorReason(err) == activities.ReasonGone:
		return wanted, temporal.NewNonRetryableApplicationError("the cluster's record is gone", activities.ReasonGone,
			err)
	case err != nil:
		return wanted, err
	case wanted.Deleted:
		return wanted, workflow.NewContinueAsNewError(ctx, Delete, operation.DeleteInput{Cluster: cluster})
	}
	return wanted, nil
}

// terminateUntilCancelled terminates what was launched. It stops when the operation is cancelled meanwhile, because it
// may take hours while the cloud does not answer.
func (p *provisionRun) terminateUntilCancelled(ctx, clean workflow.Context) error {
	work, stop := workflow.WithCancel(clean)
	defer stop()
	if ctx.Err() == nil {
		workflow.Go(clean, func(watch workflow.Context) {
			ctx.Done().Receive(watch, nil)
			stop()
		})
	}
	return terminateAllMachines(work, cleanup, p.cluster)
}

// readLastLogLines reads the last lines of a machine's log; none if the machine does not answer.
func readLastLogLines(ctx workflow.Context, progress *machineProgress, name string) []string {
	m, ok := progress.findMachine(name)
	if !ok {
		return nil
	}
	var lines []string
	if err := quickRead.runForResult(ctx, name+": read the log", &lines, nodeActivities.Diagnose, m); err != nil {
		workflow.GetLogger(ctx).Info("could not read the log", "machine", name, "error", err)
		return nil
	}
	return lines
}
