package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// maxGroupSize bounds the machines of one BringUp. It keeps the history of each run and the work of each of its
// workflow tasks small.
const maxGroupSize = 25

// BringUpInput is a group of reserved workers.
type BringUpInput struct {
	Cluster  api.Ref                 `json:"cluster"`
	Pool     string                  `json:"pool"`
	Machines []activities.MachineRef `json:"machines"`
	// Placements are those of the machines, in the same order; none if they belong to a create.
	Placements []api.Placement `json:"placements,omitempty"`
	// PowerOffAt is when the machines power themselves off unless the timer is cleared first; zero: no timer. A machine
	// that is launched later, because another try failed, gets a later time unless Together.
	PowerOffAt time.Time `json:"power_off_at,omitzero"`
	// Together: the machines belong to a create. They wait for the signal that the server accepts them, the first
	// error ends them all, and their timers stay until the cluster is READY. Otherwise each machine is on its own: it
	// tries other placements, and is terminated if it fails.
	Together bool `json:"together,omitempty"`
	// JoinsAtOnce bounds the machines of the group that join at the same time.
	JoinsAtOnce int64 `json:"joins_at_once"`
}

// BringUpResult has the group's machines as they are at the end.
type BringUpResult struct {
	Machines []activities.MachineRef `json:"machines"`
}

// The signals of BringUp: those that it gets, and those that it sends to its parent.
const (
	signalServerAccepts = "server-accepts" // workers can join
	signalStopMachine   = "stop-machine"   // the machine with this index is no longer wanted
	signalReached       = "reached"        // all machines of the group have reached a condition
	signalMachinesEnded = "machines-ended" // the outcomes of machines
)

// reachedCondition is the content of signalReached.
type reachedCondition struct {
	Condition api.ConditionType `json:"condition"`
	Machines  []int             `json:"machines"` // indexes
}

// machineOutcome is how the bring-up of a machine ended.
type machineOutcome struct {
	Index int `json:"index"`
	// Failure is nil if the machine's Node is Ready.
	Failure *api.Failure `json:"failure,omitempty"`
	// Stopped: it ended early, because it was stopped.
	Stopped bool `json:"stopped,omitempty"`
}

// BringUp takes a group of reserved workers to Ready Nodes. Its parent is Provision or Converge.
func BringUp(ctx workflow.Context, in BringUpInput) (BringUpResult, error) {
	g := newBringUpGroup(ctx, in)
	if in.Together {
		return g.bringUpTogether(ctx)
	}
	return g.bringUpEach(ctx)
}

// bringUpGroup is the state of one run of BringUp.
type bringUpGroup struct {
	in       BringUpInput
	progress *machineProgress
	bringUp  *machineBringUp
	parent   workflow.Execution // the run that started the group; a later one with its id gets no signals
	// reached are the machines that have reached a condition, by index.
	reached map[api.ConditionType][]int
	// sent are the signals to the parent that are under way.
	sent workflow.WaitGroup
}

func newBringUpGroup(ctx workflow.Context, in BringUpInput) *bringUpGroup {
	g := &bringUpGroup{in: in, progress: newMachineProgress(), reached: map[api.ConditionType][]int{},
		sent: workflow.NewWaitGroup(ctx)}
	if parent := workflow.GetInfo(ctx).ParentWorkflowExecution; parent != nil {
		g.parent = *parent
	}
	g.progress.trackMachines(slices.Clone(in.Machines))
	g.bringUp = &machineBringUp{progress: g.progress, powerOffAt: in.PowerOffAt,
		joins: newJoinQueue(ctx, max(1, in.JoinsAtOnce))}
	if !in.Together {
		g.bringUp.joins.openQueue() // the server runs
	} else {
		g.bringUp.onReached = g.countAtCondition
		workflow.Go(ctx, func(ctx workflow.Context) {
			workflow.GetSignalChannel(ctx, signalServerAccepts).Receive(ctx, nil)
			if ctx.Err() == nil {
				g.bringUp.joins.openQueue()
			}
		})
	}
	return g
}

// bringUpTogether brings all machines up or none.
func (g *bringUpGroup) bringUpTogether(ctx workflow.Context) (BringUpResult, error) {
	tasks, work := newStoppingTaskGroup(ctx, 0)
	for _, m := range g.in.Machines {
		tasks.startTask(work, func(ctx workflow.Context) error {
			err := g.bringUpWithRelaunch(ctx, m, g.bringUp)
			return addMachineAndStep(err, m.Name, g.progress.stepOf(m.Name))
		})
	}
	err := tasks.awaitTasks(ctx)
	clean, _ := workflow.NewDisconnectedContext(ctx)
	g.sent.Wait(clean)
	switch {
	case temporal.IsCanceledError(err):
		err = temporal.NewCanceledError(g.progress.listSteps()) // a create that misses its deadline names one of them
	case err != nil:
		err = g.addLastLogLines(clean, err)
	}
	return BringUpResult{Machines: g.progress.machines}, err
}

// bringUpWithRelaunch takes one machine to a Ready Node, and launches it again if its cloud ends it meanwhile.
func (g *bringUpGroup) bringUpWithRelaunch(ctx workflow.Context, m activities.MachineRef, b *machineBringUp) error {
	for n := 0; ; n++ {
		if !g.in.Together && !b.powerOffAt.IsZero() { // what was tried before may have taken hours
			b.powerOffAt = workflow.Now(ctx).Add(operation.DefaultProvisionTimeout + powerOffMargin)
		}
		err := b.bringUpMachine(ctx, m)
		if errorReason(err) != activities.ReasonLost || n == maxRelaunches || ctx.Err() != nil {
			return err
		}
		if m, err = replaceLostMachine(ctx, g.in.Cluster, g.progress, m); err != nil {
			return err
		}
	}
}

// addLastLogLines adds the last lines of the machine's log to an error.
func (g *bringUpGroup) addLastLogLines(ctx workflow.Context, err error) error {
	failure := failureOf(err)
	if failure.Machine == "" || len(failure.Log) > 0 || errorReason(err) == activities.ReasonLost {
		return err
	}
	if failure.Log = readLastLogLines(ctx, g.progress, failure.Machine); len(failure.Log) == 0 {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), failure.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: err, Details: []any{failure},
	})
}

// countAtCondition tells the parent when all machines of the group have reached a condition.
func (g *bringUpGroup) countAtCondition(ctx workflow.Context, m activities.MachineRef, condition api.ConditionType) {
	if slices.Contains(g.reached[condition], m.Index) {
		return // it was launched again
	}
	g.reached[condition] = append(g.reached[condition], m.Index)
	if len(g.reached[condition]) == len(g.in.Machines) {
		g.tellParent(ctx, signalReached, reachedCondition{Condition: condition, Machines: g.reached[condition]})
	}
}

// tellParent sends a signal to the parent. The group's end waits for it.
func (g *bringUpGroup) tellParent(ctx workflow.Context, signal string, content any) {
	if g.parent.ID == "" {
		return
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	g.sent.Go(clean, func(ctx workflow.Context) {
		if err := workflow.SignalExternalWorkflow(ctx, g.parent.ID, g.parent.RunID, signal, content).Get(ctx,
			nil); err != nil {
			workflow.GetLogger(ctx).Warn("the parent was not told", "signal", signal, "error", err)
		}
	})
}

// bringUpEach brings up each machine on its own, and tells the parent how each ended.
func (g *bringUpGroup) bringUpEach(ctx workflow.Context) (BringUpResult, error) {
	outcomes := newOutcomeReport(ctx, g)
	tasks := newTaskGroup(ctx, 0)
	stop := map[int]workflow.CancelFunc{}
	for i, m := range g.in.Machines {
		work, cancel := workflow.WithCancel(ctx)
		stop[m.Index] = cancel
		tasks.startTask(work, func(ctx workflow.Context) error {
			outcomes.reportOutcome(ctx, m, g.bringUpInAnyPlacement(ctx, m, g.in.Placements[i]))
			return nil
		})
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var index int
			if more := workflow.GetSignalChannel(ctx, signalStopMachine).Receive(ctx, &index); !more ||
				ctx.Err() != nil {
				return
			}
			if cancel := stop[index]; cancel != nil {
				cancel()
			}
		}
	})
	_ = tasks.awaitTasks(ctx) // each outcome was reported
	clean, _ := workflow.NewDisconnectedContext(ctx)
	g.sent.Wait(clean)
	return BringUpResult{Machines: g.progress.machines}, ctx.Err()
}

// bringUpInAnyPlacement takes a machine to a Ready Node, in another placement if the present one has no room. A machine
// that fails is terminated.
func (g *bringUpGroup) bringUpInAnyPlacement(ctx workflow.Context, m activities.MachineRef,
	placement api.Placement) error {
	b := *g.bringUp
	for tried := []api.Placement{placement}; ; {
		err := g.bringUpWithRelaunch(ctx, m, &b)
		if current, ok := g.progress.findMachine(m.Name); ok {
			m = current // it may have been launched again
		}
		if err == nil {
			err = b.clearPowerOffTimer(ctx, m)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		err = addMachineAndStep(err, m.Name, g.progress.stepOf(m.Name))
		if left := terminateFailed(ctx, g.in.Cluster, m); left != nil || !mayTryNextPlacement(err) {
			return addLeftMachine(err, left)
		}
		next, moved := g.moveToNextPlacement(ctx, m, err, tried)
		if moved == nil {
			return err
		}
		m, tried = *moved, append(tried, next)
	}
}

// moveToNextPlacement records that the last placement that was tried has no machine, and gives the machine one that was
// not tried. It returns nil if there is none.
func (g *bringUpGroup) moveToNextPlacement(ctx workflow.Context, m activities.MachineRef, failed error,
	tried []api.Placement) (api.Placement, *activities.MachineRef) {
	attempt := machines.PoolAttemptInput{Cluster: g.in.Cluster, Pool: g.in.Pool, Placement: tried[len(tried)-1],
		Failure: failureOf(failed)}
	if err := etcdWrite.runActivity(ctx, m.Name+": record the failed placement", machineActivities.RecordPoolAttempt,
		attempt); err != nil {
		return api.Placement{}, nil
	}
	var planned machines.PoolPlan
	if err := cloudQuery.runForResult(ctx, m.Name+": list placements", &planned, machineActivities.PlanPool,
		machines.PlanPoolInput{Cluster: g.in.Cluster, Pool: g.in.Pool}); err != nil {
		return api.Placement{}, nil
	}
	for _, next := range planned.Placements {
		if slices.ContainsFunc(tried, next.IsSamePlace) {
			continue
		}
		var moved activities.MachineRef
		if err := etcdWrite.runForResult(ctx, m.Name+": choose another placement", &moved,
			machineActivities.RepositionMachine, machines.RepositionInput{Machine: m, Placement: next,
				Spec: planned.Spec()}); err != nil {
			return api.Placement{}, nil
		}
		g.progress.replaceMachine(moved)
		return next, &moved
	}
	return api.Placement{}, nil
}

// terminateFailed terminates a machine whose bring-up failed.
func terminateFailed(ctx workflow.Context, cluster api.Ref, m activities.MachineRef) error {
	in := machines.TerminateInput{Cluster: cluster, Name: m.Name, Incarnation: m.Incarnation}
	return repairStep.runActivity(ctx, m.Name+": terminate", machineActivities.Terminate, in)
}

// addLeftMachine adds to a failure that its machine could not be terminated.
func addLeftMachine(err, left error) error {
	if left == nil {
		return err
	}
	failure := failureOf(err)
	failure.Message += "; the machine could not be terminated: " + failureOf(left).Message
	return temporal.NewApplicationErrorWithOptions(failure.Message, failure.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{failure},
	})
}

// replaceLostMachine removes what is left of a lost machine and reserves another one for its index.
func replaceLostMachine(ctx workflow.Context, cluster api.Ref, progress *machineProgress,
	lost activities.MachineRef) (activities.MachineRef, error) {
	progress.setStep(ctx, lost, "launch again")
	in := machines.TerminateInput{Cluster: cluster, Name: lost.Name, Incarnation: lost.Incarnation}
	if err := cleanup.runActivity(ctx, lost.Name+": remove the lost machine", machineActivities.Terminate,
		in); err != nil {
		return lost, err
	}
	var replacement activities.MachineRef
	if err := etcdWrite.runForResult(ctx, lost.Name+": reserve another machine", &replacement,
		clusterActivities.ReplaceMachine, lost); err != nil {
		return lost, err
	}
	progress.replaceMachine(replacement)
	return replacement, nil
}
