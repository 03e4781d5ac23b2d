package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// restoreOnNewServer launches another machine for the server, and restores it there. The workers stay. The old machine
// is terminated first, by its own id: two servers with the same data would part the cluster.
func (r *restoreRun) restoreOnNewServer(ctx workflow.Context) error {
	if r.begun.Restore.Reason == api.RestoreAsked && !r.begun.Changing && !r.begun.Restore.Changed {
		r.notKept = serverGone
	}
	if err := r.markRestoring(ctx, false); err != nil {
		return err
	}
	head := *r.begun.Head
	if head.Incarnation == r.begun.Restore.LostServer || r.begun.HeadGone {
		if err := r.excludeServer(ctx, head); err != nil {
			return addMachineAndStep(err, head.Name, "exclude the old server")
		}
		if err := etcdWrite.runForResult(ctx, head.Name+": reserve another machine", &head,
			clusterActivities.ReplaceMachine, head); err != nil {
			return err
		}
	}
	var placements []api.Placement
	if err := cloudQuery.runForResult(ctx, head.Name+": list placements", &placements, machineActivities.PlanServer,
		r.cluster); err != nil {
		return err
	}
	return r.bringUpServer(ctx, head, placements)
}

// excludeServer makes sure that the old server never serves again: its machine is terminated, and the complete list of
// its cloud lacks it.
func (r *restoreRun) excludeServer(ctx workflow.Context, old activities.MachineRef) error {
	in := machines.TerminateInput{Cluster: r.cluster, Name: old.Name, Incarnation: old.Incarnation,
		ID: r.begun.HeadID, Index: old.Index}
	for round := 1; ; round++ {
		err := cleanup.runActivity(ctx, old.Name+": terminate the old server", machineActivities.Terminate, in)
		if err == nil {
			err = cloudQuery.runActivity(ctx, old.Name+": confirm that it is gone", machineActivities.ConfirmGone, old)
		}
		if err == nil {
			return r.markRestoring(ctx, true)
		}
		if errorReason(err) != activities.ReasonLeft || round == terminateRounds {
			return err
		}
		if err := workflow.Sleep(ctx, terminateRoundDelay); err != nil {
			return err
		}
	}
}

// The pause after all placements had no machine for the server: it doubles from the first to the longest one.
const (
	firstServerPause = 15 * time.Second
	maxServerPause   = 10 * time.Minute
)

// bringUpServer tries placements until one has a machine for the server, and restores it there. While none has, it
// tries again and again: the cluster does not work without its server, and a cloud may have a machine at any time.
func (r *restoreRun) bringUpServer(ctx workflow.Context, head activities.MachineRef,
	placements []api.Placement) error {
	moves := false
	for pause := firstServerPause; ; pause = min(2*pause, maxServerPause) {
		var err error
		for _, placement := range placements {
			if moves {
				if head, err = r.moveServer(ctx, head, placement); err != nil {
					return err
				}
			}
			moves = true
			if head, err = r.bringUpServerIn(ctx, head, placement); err == nil || ctx.Err() != nil ||
				!mayTryNextPlacement(err) {
				return err
			}
			attempt := record.RecordAttemptInput{Cluster: r.cluster, Placement: placement, Failure: failureOf(err),
				Last: true}
			if err := etcdWrite.runActivity(ctx, r.cluster.Name+": record the failed placement",
				clusterActivities.RecordAttempt, attempt); err != nil {
				return err
			}
		}
		switch {
		case errorReason(err) == string(cloud.Access):
			return err
		case workflow.GetInfo(ctx).GetContinueAsNewSuggested():
			return workflow.NewContinueAsNewError(ctx, Restore, operation.RestoreInput{Cluster: r.cluster})
		}
		if err := workflow.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// bringUpServerIn takes the server to a Ready Node in a placement, and makes the workers join it.
func (r *restoreRun) bringUpServerIn(ctx workflow.Context, head activities.MachineRef,
	placement api.Placement) (activities.MachineRef, error) {
	b := r.newBringUp(append([]activities.MachineRef{head}, r.begun.Workers...))
	b.powerOffAt = powerOffTime(placement, workflow.Now(ctx).Add(operation.DefaultProvisionTimeout))
	head, err := r.bringUpWithRelaunch(ctx, b, head)
	if err != nil {
		return head, addMachineAndStep(err, head.Name, b.progress.stepOf(head.Name))
	}
	if err := b.clearPowerOffTimer(ctx, head); err != nil {
		return head, addMachineAndStep(err, head.Name, stepClearPowerOff)
	}
	return head, r.rejoinWorkers(ctx, b)
}

// moveServer gives a server that its placement could not provide another one.
func (r *restoreRun) moveServer(ctx workflow.Context, head activities.MachineRef,
	placement api.Placement) (activities.MachineRef, error) {
	in := machines.TerminateInput{Cluster: r.cluster, Name: head.Name, Incarnation: head.Incarnation, Index: head.Index}
	if err := cleanup.runActivity(ctx, head.Name+": terminate", machineActivities.Terminate, in); err != nil {
		return head, err
	}
	var moved activities.MachineRef
	err := etcdWrite.runForResult(ctx, head.Name+": reserve another machine", &moved,
		machineActivities.RepositionMachine, machines.RepositionInput{Machine: head, Placement: placement})
	return moved, err
}

// bringUpWithRelaunch takes the server to a Ready Node. If its cloud ends the machine meanwhile, it is launched again.
func (r *restoreRun) bringUpWithRelaunch(ctx workflow.Context, b *machineBringUp,
	head activities.MachineRef) (activities.MachineRef, error) {
	for n := 0; ; n++ {
		err := b.bringUpMachine(ctx, head)
		if errorReason(err) != activities.ReasonLost || n == maxRelaunches || ctx.Err() != nil {
			return head, err
		}
		if head, err = replaceLostMachine(ctx, r.cluster, r.progress, head); err != nil {
			return head, err
		}
	}
}

// restoreOnNewMachines ends all machines, and brings the whole cluster up on others. Where they were comes first. A run
// that continues an interrupted one goes on with the machines that this has launched: the server may serve already.
func (r *restoreRun) restoreOnNewMachines(ctx workflow.Context) error {
	p := newProvisionRun(ctx, operation.ProvisionInput{Cluster: r.cluster})
	if r.begun.Changing && r.begun.Restore.Excluded {
		p.begun.Placement, p.begun.Pools = r.begun.Placement, r.begun.Pools
	} else if err := r.endAllMachines(ctx); err != nil {
		return err
	}
	p.restore, p.progress = &r.begun.Restore, r.progress
	p.receiveReachedConditions(ctx)
	work, stop := workflow.WithCancel(ctx)
	p.stopAtDeadline(work, stop)
	err := r.tryPlacements(work, p)
	stop()
	if p.late {
		return p.newDeadlineError()
	}
	return err
}

// endAllMachines keeps the state that is replaced, and ends all machines.
func (r *restoreRun) endAllMachines(ctx workflow.Context) error {
	if err := r.keepPresentState(ctx); err != nil {
		return err
	}
	if err := r.markRestoring(ctx, false); err != nil {
		return err
	}
	if err := terminateAllMachines(ctx, cleanup, r.cluster); err != nil {
		return err
	}
	return r.markRestoring(ctx, true)
}

func (r *restoreRun) tryPlacements(ctx workflow.Context, p *provisionRun) error {
	placements, err := p.listPlacements(ctx)
	if err != nil {
		return err
	}
	if was := r.begun.Placement; was != nil {
		slices.SortStableFunc(placements, func(a, b machines.ClusterPlacement) int {
			return rankOfFormer(a, *was) - rankOfFormer(b, *was)
		})
	}
	return p.tryPlacements(ctx, placements, func(ctx workflow.Context, placement api.Placement) error {
		if err := p.clearPowerOffTimers(ctx, placement); err != nil {
			return err
		}
		return r.cleanNodes(ctx, true)
	})
}

// rankOfFormer is 0 for the placement in which the machines were.
func rankOfFormer(p machines.ClusterPlacement, was api.Placement) int {
	if p.Placement.IsSamePlace(was) {
		return 0
	}
	return 1
}
