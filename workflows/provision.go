package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Provision takes a cluster from its spec in etcd to READY. If it fails or is cancelled, it terminates the machines
// that it launched and leaves the cluster in ERROR. If the cluster is to be deleted by then, it continues as Delete.
func Provision(ctx workflow.Context, in operation.ProvisionInput) error {
	p := newProvisionRun(ctx, in)
	p.receiveReachedConditions(ctx)
	work, stop := workflow.WithCancel(ctx)
	p.stopAtDeadline(work, stop)
	err := p.provisionCluster(work)
	stop()
	if err == nil || workflow.IsContinueAsNewError(err) {
		return err
	}
	if p.late {
		err = p.newDeadlineError()
	}
	return p.cleanUpAndFail(ctx, err)
}

// provisionRun is the state of one run of Provision.
type provisionRun struct {
	in       operation.ProvisionInput
	cluster  api.Ref
	begun    record.BeginResult
	progress *machineProgress
	// attempt is the placement that is being tried; nil before the first one.
	attempt *placementAttempt
	// deadline is when the cluster has to be READY; late is set when it has passed.
	deadline time.Time
	late     bool
	// restore is the snapshot from which the server starts; nil for a create.
	restore *api.RestoreRequest
	// onlyGPUs is set when all but the GPU stack is done.
	onlyGPUs bool
}

func newProvisionRun(ctx workflow.Context, in operation.ProvisionInput) *provisionRun {
	if in.Timeout <= 0 {
		in.Timeout = operation.DefaultProvisionTimeout
	}
	return &provisionRun{
		in: in, cluster: in.Cluster, progress: newMachineProgress(), deadline: workflow.Now(ctx).Add(in.Timeout),
	}
}

// stopAtDeadline stops the work when the deadline passes.
func (p *provisionRun) stopAtDeadline(work workflow.Context, stop workflow.CancelFunc) {
	workflow.Go(work, func(ctx workflow.Context) {
		timer := workflow.NewTimerWithOptions(ctx, p.in.Timeout,
			workflow.TimerOptions{Summary: "deadline of the create"})
		if timer.Get(ctx, nil) == nil {
			p.late = true
			stop()
		}
	})
}

// provisionCluster tries the placements in order until one holds the whole cluster.
func (p *provisionRun) provisionCluster(ctx workflow.Context) error {
	if err := slowRead.runForResult(ctx, p.cluster.Name+": begin", &p.begun, clusterActivities.Begin,
		p.in); err != nil {
		return err
	}
	if p.begun.Settled {
		return continueIfChanged(ctx, p.cluster)
	}
	placements, err := p.listPlacements(ctx)
	if err != nil {
		return err
	}
	return p.tryPlacements(ctx, placements, p.finishCluster)
}

// tryPlacements tries placements in order until one holds the whole cluster, and finishes the cluster there.
func (p *provisionRun) tryPlacements(ctx workflow.Context, placements []machines.ClusterPlacement,
	finish func(workflow.Context, api.Placement) error) (err error) {
	for i, placement := range placements {
		err = p.tryPlacement(ctx, placement)
		if err == nil {
			return finish(ctx, placement.Placement)
		}
		if ctx.Err() != nil || !mayTryNextPlacement(err) {
			return err
		}
		last := i == len(placements)-1
		if end := p.leavePlacement(ctx, placement.Placement, err, last); end != nil {
			return end
		}
	}
	if err == nil {
		return temporal.NewNonRetryableApplicationError("every placement was tried", string(cloud.Capacity), nil)
	}
	return err
}

// listPlacements returns the cloud's placements that this create has not tried yet. If an earlier try left machines
// that can be used, their placement comes first.
func (p *provisionRun) listPlacements(ctx workflow.Context) ([]machines.ClusterPlacement, error) {
	placements, err := p.listUsablePlacement(ctx)
	if err != nil {
		return nil, err
	}
	var ranked []machines.ClusterPlacement
	if err := cloudQuery.runForResult(ctx, p.cluster.Name+": list placements", &ranked, machineActivities.Plan,
		p.cluster); err != nil {
		return nil, err
	}
	known := slices.Clone(p.begun.Tried)
	for i, placement := range placements {
		known = append(known, placement.Placement)
		placements[i] = placement.FillIn(ranked)
	}
	for _, placement := range ranked {
		if !slices.Contains(known, placement.Placement) {
			placements = append(placements, placement)
			known = append(known, placement.Placement)
		}
	}
	return placements, nil
}

// listUsablePlacement returns the placement of an earlier try if its head still exists. Otherwise it terminates the
// workers, which hold certificates of a head that is gone.
func (p *provisionRun) listUsablePlacement(ctx workflow.Context) ([]machines.ClusterPlacement, error) {
	if p.begun.Placement == nil {
		return nil, nil
	}
	var kept machines.SurveyResult
	if err := cloudQuery.runForResult(ctx, p.cluster.Name+": check the machines of an earlier try", &kept,
		machineActivities.Survey, p.cluster); err != nil {
		return nil, err
	}
	if !kept.Head {
		return nil, terminateAllMachines(ctx, cleanup, p.cluster)
	}
	return []machines.ClusterPlacement{{Placement: *p.begun.Placement, Pools: p.begun.Pools}}, nil
}

// mayTryNextPlacement says whether an error is specific to a placement.
func mayTryNextPlacement(err error) bool {
	switch cloud.ErrorKind(errorReason(err)) {
	case cloud.Capacity, cloud.Quota, cloud.Access:
		return true
	}
	return false
}

// leavePlacement terminates the machines of a failed placement and records the failure. An error ends the run; it is
// the placement's own error if machines could not be terminated. Machines of the last placement are for clean-up to
// keep or terminate.
func (p *provisionRun) leavePlacement(ctx workflow.Context, placement api.Placement, failed error, last bool) error {
	if !last && terminateAllMachines(ctx, cleanup, p.cluster) != nil {
		return failed
	}
	attempt := record.RecordAttemptInput{Cluster: p.cluster, Placement: placement, Failure: failureOf(failed),
		Last: last}
	if err := etcdWrite.runActivity(ctx, p.cluster.Name+": record the failed placement",
		clusterActivities.RecordAttempt, attempt); err != nil {
		return err
	}
	if !last && p.restore == nil && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		// Temporal terminates a run whose history grows too long, and a terminated run cannot clean up.
		next := p.in
		next.Timeout, next.Continued = p.deadline.Sub(workflow.Now(ctx)), true
		return workflow.NewContinueAsNewError(ctx, Provision, next)
	}
	return nil
}

// finishCluster makes a cluster whose Nodes are Ready READY.
func (p *provisionRun) finishCluster(ctx workflow.Context, placement api.Placement) error {
	// First, because the GPU stack may take long and its failure keeps the machines, which then must not power off.
	if err := p.clearPowerOffTimers(ctx, placement); err != nil {
		return err
	}
	if p.begun.GPUs {
		p.onlyGPUs = true
		// The run id makes the chart's controller retry an earlier failure at once; its own next retry may be minutes
		// away.
		if err := installGPUs(ctx, p.cluster, workflow.GetInfo(ctx).WorkflowExecution.RunID); err != nil {
			return &gpuStackError{cause: err}
		}
	}
	var ready record.ReadyResult
	if err := slowRead.runForResult(ctx, p.cluster.Name+": measure and mark READY", &ready, clusterActivities.MarkReady,
		p.cluster); err != nil {
		return err
	}
	if ready.Changed {
		return workflow.NewContinueAsNewError(ctx, Converge, operation.ConvergeInput{Cluster: p.cluster})
	}
	return continueIfChanged(ctx, p.cluster)
}

// continueIfChanged continues an operation that is done as Converge if it was signalled that the spec has changed.
func continueIfChanged(ctx workflow.Context, cluster api.Ref) error {
	if workflow.GetSignalChannel(ctx, operation.SignalChanged).Len() == 0 {
		return nil
	}
	return workflow.NewContinueAsNewError(ctx, Converge, operation.ConvergeInput{Cluster: cluster})
}

// timersAtOnce bounds the power-off timers that are cleared at the same time.
const timersAtOnce = 50

// clearPowerOffTimers removes the power-off timers of all machines: a cluster is not READY while one of its machines
// may power off.
func (p *provisionRun) clearPowerOffTimers(ctx workflow.Context, placement api.Placement) error {
	b := &machineBringUp{progress: p.progress, powerOffAt: powerOffTime(placement, p.deadline)}
	if b.powerOffAt.IsZero() {
		return nil
	}
	tasks, work := newStoppingTaskGroup(ctx, timersAtOnce)
	for _, m := range p.progress.machines {
		tasks.startTask(work, func(ctx workflow.Context) error {
			return addMachineAndStep(b.clearPowerOffTimer(ctx, m), m.Name, stepClearPowerOff)
		})
	}
	return tasks.awaitTasks(ctx)
}

// newDeadlineError says which machine the create still waited for at its deadline, and at which step.
func (p *provisionRun) newDeadlineError() error {
	if p.onlyGPUs {
		return &gpuStackError{cause: temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("not READY within %s: the GPU stack was not up yet", p.in.Timeout), "Deadline", nil)}
	}
	name, doing := p.progress.slowestMachine()
	f := api.Failure{
		Step: doing, Machine: name, Reason: "Deadline",
		Message: fmt.Sprintf("not READY within %s: %s was still at the step: %s", p.in.Timeout, name, doing),
	}
	if name == "" {
		f.Step, f.Message = "plan", fmt.Sprintf("not READY within %s: no machine had been requested yet", p.in.Timeout)
	}
	return temporal.NewApplicationErrorWithOptions(f.Message, f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{f},
	})
}
