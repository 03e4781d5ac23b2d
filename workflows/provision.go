package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Provision brings a cluster from what etcd says is wanted to READY. Where it fails or is cancelled, it terminates what
// it launched and leaves the cluster in ERROR; where the cluster is to be deleted meanwhile, it goes on as Delete.
func Provision(ctx workflow.Context, in operation.ProvisionInput) error {
	if in.Timeout <= 0 {
		in.Timeout = operation.DefaultProvisionTimeout
	}
	p := &provisionRun{ref: in.Cluster, board: newMachineProgress(), until: workflow.Now(ctx).Add(in.Timeout)}
	work, stop := workflow.WithCancel(ctx)
	late := false
	workflow.Go(work, func(tick workflow.Context) {
		if workflow.NewTimerWithOptions(tick, in.Timeout,
			workflow.TimerOptions{Summary: "deadline of the create"}).Get(tick, nil) == nil {
			late = true
			stop()
		}
	})
	err := p.bringUpCluster(work, in)
	stop()
	if err == nil || workflow.IsContinueAsNewError(err) {
		return err
	}
	if late {
		err = p.newDeadlineError(in)
	}
	return p.cleanUpAndFail(ctx, err)
}

// provisionRun is the state of one run.
type provisionRun struct {
	ref   api.Ref
	begun activities.BeginResult
	board *machineProgress
	// onlyGPUs: all else is done.
	onlyGPUs bool
	// until is when the create has to be done.
	until time.Time
}

// bringUpCluster goes through the cloud's placements until one holds the whole cluster.
func (p *provisionRun) bringUpCluster(ctx workflow.Context, in operation.ProvisionInput) error {
	if err := slowRead.startActivity(ctx, p.ref.Name+": begin", clusterActivities.Begin, in).Get(ctx,
		&p.begun); err != nil ||
		p.begun.Settled {
		return err
	}
	placements, err := p.listPlacements(ctx)
	if err != nil {
		return err
	}
	for i, placement := range placements {
		err = p.tryPlacement(ctx, placement)
		// what joined it is of no use to another
		for n := 0; p.isHeadLost(err) && ctx.Err() == nil && n < maxRelaunches; n++ {
			if left := terminateAllMachines(ctx, cleanup, p.ref); left != nil {
				return err
			}
			err = p.tryPlacement(ctx, placement)
		}
		if err == nil {
			// Before the GPU stack, which may take long: without it the machines are kept, and must not power off.
			if err := p.clearPowerOffTimers(ctx, placement); err != nil {
				return err
			}
			if p.begun.GPUs {
				p.onlyGPUs = true
				// Of a chart that an earlier create could not have installed, the next try may be minutes away: it is
				// applied anew.
				if err := installGPUs(ctx, p.ref, workflow.GetInfo(ctx).WorkflowExecution.RunID); err != nil {
					return &gpuStackError{cause: err}
				}
			}
			return slowRead.runActivity(ctx, p.ref.Name+": measure and mark READY", clusterActivities.MarkReady, p.ref)
		}
		if ctx.Err() != nil || !mayTryNextPlacement(err) {
			return err
		}
		last := i == len(placements)-1 // whose machines, if any, are for fail to keep or end
		if !last && terminateAllMachines(ctx, cleanup, p.ref) != nil {
			return err
		}
		tried := activities.RecordAttemptInput{Cluster: p.ref, Placement: placement, Failure: failureOf(err),
			Last: last}
		if err := etcdWrite.runActivity(ctx, p.ref.Name+": record the failed placement",
			clusterActivities.RecordAttempt,
			tried); err != nil {
			return err
		}
		if !last && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			// The server ends a run whose history grows too long, and with it all hope of a clean-up.
			in.Timeout, in.Continued = p.until.Sub(workflow.Now(ctx)), true
			return workflow.NewContinueAsNewError(ctx, Provision, in)
		}
	}
	if err == nil {
		return temporal.NewNonRetryableApplicationError("every placement was tried", string(cloud.Capacity), nil)
	}
	return err
}

// isHeadLost says that an attempt ended because its head is gone.
func (p *provisionRun) isHeadLost(err error) bool {
	return errorReason(err) == activities.ReasonLost && failureOf(err).Machine == api.MachineName(p.ref.Name, 0)
}

// listPlacements are the cloud's that this create has not been through, after the one where machines of an earlier try
// were kept and are good to go on with.
func (p *provisionRun) listPlacements(ctx workflow.Context) ([]api.Placement, error) {
	var kept []api.Placement
	if p.begun.Placement != nil {
		var found activities.SurveyResult
		err := cloudQuery.startActivity(ctx, p.ref.Name+": look at the machines of an earlier try",
			machineActivities.Survey,
			p.ref).Get(ctx, &found)
		if err != nil {
			return nil, err
		}
		if found.Head {
			kept = append(kept, *p.begun.Placement)
		} else if err := terminateAllMachines(ctx, cleanup, p.ref); err != nil {
			return nil, err // workers of a head that is gone hold its certificates: they are of no use to the next one
		}
	}
	var ranked []api.Placement
	if err := cloudQuery.startActivity(ctx, p.ref.Name+": ask the cloud for placements", machineActivities.Plan,
		p.ref).Get(ctx,
		&ranked); err != nil {
		return nil, err
	}
	for _, placement := range ranked {
		if !slices.Contains(kept, placement) && !slices.Contains(p.begun.Tried, placement) {
			kept = append(kept, placement)
		}
	}
	return kept, nil
}

// mayTryNextPlacement says whether another placement may do where this one failed.
func mayTryNextPlacement(err error) bool {
	switch cloud.ErrorKind(errorReason(err)) {
	case cloud.Capacity, cloud.Quota, cloud.Access:
		return true
	}
	return false
}

// cleanUpAndFail cleans up, records why, and reports the error as the operation's own. It does so on a context that is
// not cancelled; of its own it only asks whether somebody cancels.
func (p *provisionRun) cleanUpAndFail(ctx workflow.Context, err error) error {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if isGPUStackError(err) {
		failure.Step = api.StepGPU
	}
	for {
		cancelledBefore := ctx.Err() != nil
		wanted, end := readWantedState(clean, p.ref)
		if end != nil {
			return end
		}
		// RKE2, whose log it is, is well there
		if failure.Machine != "" && len(failure.Log) == 0 && !isGPUStackError(err) {
			failure.Log = p.readLastLogLines(clean, failure.Machine)
		}
		if wanted.KeepMachines || isGPUStackError(err) {
			break
		}
		left := p.terminateUntilCancelled(ctx, clean)
		if left != nil && ctx.Err() != nil && !cancelledBefore {
			continue // perhaps for the sake of a delete
		}
		if left != nil {
			failure.Message += fmt.Sprintf("; and not all machines could be terminated, delete the cluster to try "+
				"again: %s", failureOf(left).Message)
		}
		break
	}
	marked := outcomeWrite.runActivity(clean, p.ref.Name+": mark ERROR", clusterActivities.MarkFailed,
		activities.MarkFailedInput{Cluster: p.ref, Failure: failure})
	if marked != nil {
		return marked
	}
	if temporal.IsCanceledError(err) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}

// readWantedState asks what is to become of a cluster whose operation did not succeed. Its error is the operation's
// end: where the cluster is to go, it goes on as Delete.
func readWantedState(ctx workflow.Context, ref api.Ref) (activities.WantedState, error) {
	var wanted activities.WantedState
	switch err := outcomeWrite.startActivity(ctx, ref.Name+": see what is wanted now", clusterActivities.Wanted,
		ref).Get(ctx,
		&wanted); {
	case err != nil && errorReason(err) == activities.ReasonGone:
		return wanted, temporal.NewNonRetryableApplicationError("the cluster was forgotten", activities.ReasonGone, err)
	case err != nil:
		return wanted, err
	case wanted.Deleted:
		return wanted, workflow.NewContinueAsNewError(ctx, Delete, operation.DeleteInput{Cluster: ref})
	}
	return wanted, nil
}

// terminateUntilCancelled terminates what was launched. That may take long where the cloud is out of reach; whoever
// cancels the operation meanwhile ends it.
func (p *provisionRun) terminateUntilCancelled(ctx, clean workflow.Context) error {
	work, stop := workflow.WithCancel(clean)
	defer stop()
	if ctx.Err() == nil {
		workflow.Go(clean, func(watch workflow.Context) {
			ctx.Done().Receive(watch, nil)
			stop()
		})
	}
	return terminateAllMachines(work, cleanup, p.ref)
}

// readLastLogLines asks a machine for the last lines of its log; one that can't answer has none.
func (p *provisionRun) readLastLogLines(ctx workflow.Context, name string) []string {
	m, ok := p.board.findMachine(name)
	if !ok {
		return nil
	}
	var lines []string
	if err := quickRead.startActivity(ctx, name+": read the log", nodeActivities.Diagnose, m).Get(ctx,
		&lines); err != nil {
		workflow.GetLogger(ctx).Info("no log to be had", "machine", name, "error", err)
		return nil
	}
	return lines
}

// newDeadlineError says which machine kept the create from ending in time, and at which step it stood.
func (p *provisionRun) newDeadlineError(in operation.ProvisionInput) error {
	if p.onlyGPUs {
		return &gpuStackError{cause: temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("not READY within %s: the GPU stack was not up yet", in.Timeout), "Deadline", nil)}
	}
	name, doing := p.board.slowestMachine()
	f := api.Failure{
		Step: doing, Machine: name, Reason: "Deadline",
		Message: fmt.Sprintf("not READY within %s: %s was still at the step: %s", in.Timeout, name, doing),
	}
	if name == "" {
		f.Step, f.Message = "plan", fmt.Sprintf("not READY within %s: no machine had been asked for yet", in.Timeout)
	}
	return temporal.NewApplicationErrorWithOptions(f.Message, f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{f},
	})
}
