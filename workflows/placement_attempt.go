package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// joinsAtOnce bounds the workers that join at one time: a hundred at once have been seen to wedge a server
// (rancher/rke2#3207).
const joinsAtOnce = 50

// placementAttempt is a try to bring up the whole cluster in one placement: all machines at once, each going its way as
// far as it can alone, and the workers joining once the head is there. The first error ends all of them.
type placementAttempt struct {
	p         *provisionRun
	placement api.Placement
	// headUp: the head's supervisor answers, and workers may join. They wait for the Kubernetes API by themselves.
	headUp   bool
	joins    workflow.Semaphore
	launched milestone
	prepared milestone
	ready    milestone
	records  workflow.WaitGroup
	// quiet: nothing is said of the cluster as a whole, of which this is only a part.
	quiet bool
	err   error
	stop  workflow.CancelFunc
}

// milestone counts the machines that have come so far, and knows the condition that holds when all have.
type milestone struct {
	condition api.ConditionType
	left      int
	reached   map[int]bool // by the index of the machine: one that was lost comes to it again
}

func (p *provisionRun) tryPlacement(ctx workflow.Context, placement api.Placement) error {
	var places []activities.MachineRef
	in := activities.ReserveInput{Cluster: p.ref, Placement: placement}
	if err := etcdWrite.startActivity(ctx, p.ref.Name+": reserve the machines", clusterActivities.Reserve, in).Get(ctx,
		&places); err != nil {
		return err
	}
	p.board.trackMachines(places)
	work, stop := workflow.WithCancel(ctx)
	defer stop()
	a := newPlacementAttempt(ctx, p, placement, len(places))
	a.stop = stop
	all := workflow.NewWaitGroup(ctx)
	for _, m := range places {
		all.Add(1)
		workflow.Go(work, func(ctx workflow.Context) {
			defer all.Done()
			if err := a.bringUpWithRelaunch(ctx, m); err != nil {
				a.stopWithError(addMachineAndStep(err, m.Name, p.board.doing[m.Name]))
			}
		})
	}
	// On a context that is not cancelled: what runs has to be seen to end, or clean-up would race it.
	rest, _ := workflow.NewDisconnectedContext(ctx)
	all.Wait(rest)
	a.records.Wait(rest)
	return a.blameLostHead(ctx, places)
}

// blameLostHead is the error of the attempt. Where it is another machine's that may have joined, it may be because the
// head is gone, which shows there first, or only there once the head is done.
func (a *placementAttempt) blameLostHead(ctx workflow.Context, places []activities.MachineRef) error {
	if a.err == nil || !a.headUp || ctx.Err() != nil || errorReason(a.err) == activities.ReasonLost ||
		workflow.GetVersion(ctx, "blame-lost-head", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return a.err
	}
	for _, m := range places {
		if m.Role != api.RoleHead || failureOf(a.err).Machine == m.Name {
			continue
		}
		if now, ok := a.p.board.findMachine(m.Name); ok { // it may have been launched again
			m = now
		}
		if err := lostCheck.runActivity(ctx, m.Name+": see whether it is there", nodeActivities.CheckLost,
			m); errorReason(err) == activities.ReasonLost {
			return err
		}
	}
	return a.err
}

func newPlacementAttempt(ctx workflow.Context, p *provisionRun, placement api.Placement, count int) *placementAttempt {
	return &placementAttempt{
		p: p, placement: placement, stop: func() {}, joins: workflow.NewSemaphore(ctx, joinsAtOnce),
		records:  workflow.NewWaitGroup(ctx),
		launched: milestone{api.MachinesLaunched, count, map[int]bool{}},
		prepared: milestone{api.MachinesPrepared, count, map[int]bool{}},
		ready:    milestone{api.NodesReady, count, map[int]bool{}},
	}
}

// stopWithError stops the whole attempt; its first error is the one that counts, those after it are its echo.
func (a *placementAttempt) stopWithError(err error) {
	if a.err == nil {
		a.err = err
	}
	a.stop()
}

// maxRelaunches bounds how often one place is launched again whose machine was lost.
const maxRelaunches = 3

// bringUpWithRelaunch takes one place to a Ready Node. A machine that its cloud ended meanwhile is launched again; not
// so the head once others may have joined it, which hold its certificates, nor where a repair does this, which looks at
// the whole cluster again.
func (a *placementAttempt) bringUpWithRelaunch(ctx workflow.Context, m activities.MachineRef) error {
	for n := 0; ; n++ {
		err := a.bringUpMachine(ctx, m)
		keep := a.quiet || m.Role == api.RoleHead && a.headUp || n == maxRelaunches
		if errorReason(err) != activities.ReasonLost || keep || ctx.Err() != nil {
			return err
		}
		a.p.board.setStep(ctx, m, "launch again")
		in := activities.TerminateInput{Cluster: a.p.ref, Name: m.Name, Incarnation: m.Incarnation}
		if err := cleanup.runActivity(ctx, m.Name+": clear away what was lost", machineActivities.Terminate,
			in); err != nil {
			return err
		}
		var fresh activities.MachineRef
		if err := etcdWrite.startActivity(ctx, m.Name+": reserve another machine", clusterActivities.ReplaceMachine,
			m).Get(ctx,
			&fresh); err != nil {
			return err
		}
		m = fresh
		a.p.board.replaceMachine(m)
	}
}

// bringUpMachine takes one machine from a name in etcd to a Ready Node.
func (a *placementAttempt) bringUpMachine(ctx workflow.Context, m activities.MachineRef) error {
	if err := a.launchMachine(ctx, m); err != nil {
		return err
	}
	a.countAtMilestone(ctx, m, &a.launched)
	if err := a.setPowerOffTimer(ctx, m); err != nil {
		return err
	}
	if err := a.runStep(ctx, m, "install RKE2", nodeActivities.Prepare, m); err != nil {
		return err
	}
	a.countAtMilestone(ctx, m, &a.prepared)
	if m.Role == api.RoleHead {
		if err := a.runStep(ctx, m, "start the server", nodeActivities.StartHead, m); err != nil {
			return err
		}
		a.headUp = true
		if err := a.runStep(ctx, m, "wait for the Kubernetes API", nodeActivities.AwaitServer, m); err != nil {
			return err
		}
		a.recordCondition(ctx, api.ControlPlaneReady)
	} else if err := a.joinCluster(ctx, m); err != nil {
		return err
	}
	if err := a.runStep(ctx, m, "wait for the Node", nodeActivities.AwaitNode, m); err != nil {
		return err
	}
	a.p.board.setReady(ctx, m)
	a.countAtMilestone(ctx, m, &a.ready)
	return nil
}

// launchMachine asks for the machine and waits until it is up. The reference of the launch is in history before the
// wait.
func (a *placementAttempt) launchMachine(ctx workflow.Context, m activities.MachineRef) error {
	a.p.board.setStep(ctx, m, "launch")
	var ref string
	if err := launch.startActivity(ctx, m.Name+": ask for the machine", machineActivities.Submit, m).Get(ctx,
		&ref); err != nil {
		return err
	}
	return launch.runActivity(ctx, m.Name+": wait for the machine", machineActivities.Await,
		activities.AwaitInput{Machine: m, Launch: ref})
}

// joinCluster waits for the head's supervisor, and then for a place among those that join.
func (a *placementAttempt) joinCluster(ctx workflow.Context, m activities.MachineRef) error {
	a.p.board.setStep(ctx, m, "wait for the head")
	if err := workflow.Await(ctx, func() bool { return a.headUp }); err != nil {
		return err
	}
	if err := a.joins.Acquire(ctx, 1); err != nil {
		return err
	}
	defer a.joins.Release(1)
	return a.runStep(ctx, m, "join the cluster", nodeActivities.Join, m)
}

// runStep runs one of the longer steps on a machine.
func (a *placementAttempt) runStep(ctx workflow.Context, m activities.MachineRef, doing string, activity any,
	args ...any) error {
	a.p.board.setStep(ctx, m, doing)
	return step.runActivity(ctx, m.Name+": "+doing, activity, args...)
}

// countAtMilestone counts one more machine at a milestone.
func (a *placementAttempt) countAtMilestone(ctx workflow.Context, m activities.MachineRef, s *milestone) {
	if s.reached[m.Index] {
		return
	}
	s.reached[m.Index] = true
	if s.left--; s.left == 0 {
		a.recordCondition(ctx, s.condition)
	}
}

// recordCondition records that a condition holds, beside the work: nothing waits for it but the end of the attempt.
func (a *placementAttempt) recordCondition(ctx workflow.Context, condition api.ConditionType) {
	if a.quiet {
		return
	}
	a.records.Add(1)
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer a.records.Done()
		in := activities.SetConditionInput{
			Cluster: a.p.ref, Condition: api.Condition{Type: condition, Status: api.ConditionTrue},
		}
		if err := etcdWrite.runActivity(ctx, a.p.ref.Name+": "+string(condition), clusterActivities.SetCondition,
			in); err != nil {
			a.stopWithError(err)
		}
	})
}
