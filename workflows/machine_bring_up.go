package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/pkg/api"
)

// machineBringUp takes machines from a name in etcd to a Ready Node. A create brings up all machines of a cluster at
// once; a repair brings up one machine of a cluster that runs.
type machineBringUp struct {
	progress *machineProgress
	// joins holds workers back until the head's server accepts them; nil: the server runs.
	joins *joinQueue
	// powerOffAt is when a machine powers itself off unless the timer is cleared first; zero: it gets no timer.
	powerOffAt time.Time
	// restore is what the server is restored from before it starts; nil: it starts empty, or with what it has.
	restore *api.RestoreRequest
	// oldData is where the data is that a restored server had before; empty if it had none.
	oldData string
	// onReached is called when a machine reaches a condition; nil: nobody counts them.
	onReached func(workflow.Context, activities.MachineRef, api.ConditionType)
}

// powerOffMargin is the time between the deadline of a create and the power-off of its machines. In that time clean-up
// runs, and a person can inspect machines that were kept.
const powerOffMargin = 30 * time.Minute

// powerOffTime is when machines of a placement power themselves off if their cluster is not READY by the deadline;
// zero: never, because they cost nothing.
func powerOffTime(placement api.Placement, deadline time.Time) time.Time {
	if !isBilled(placement) {
		return time.Time{}
	}
	return deadline.Add(powerOffMargin)
}

// isBilled says whether machines of a placement cost money, so that they must stop even if skyd is gone.
func isBilled(p api.Placement) bool { return p.PricePerMachine > 0 }

// bringUpMachine takes one machine through all steps.
func (b *machineBringUp) bringUpMachine(ctx workflow.Context, m activities.MachineRef) error {
	steps := []func(workflow.Context, activities.MachineRef) error{
		b.launchMachine,
		b.setPowerOffTimer,
		b.installRKE2,
		b.startServerOrJoin,
		b.awaitNodeReady,
	}
	for _, do := range steps {
		if err := do(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// launchMachine requests the machine and waits until it is up. The history holds the launch's reference before the wait
// starts, so that another worker waits for the same launch.
func (b *machineBringUp) launchMachine(ctx workflow.Context, m activities.MachineRef) error {
	b.progress.setStep(ctx, m, "launch")
	var launchRef string
	err := launch.runForResult(ctx, m.Name+": request the machine", &launchRef, machineActivities.Submit, m)
	if err != nil {
		return err
	}
	in := machines.AwaitInput{Machine: m, Launch: launchRef}
	if err := launch.runActivity(ctx, m.Name+": wait for the machine", machineActivities.Await, in); err != nil {
		return err
	}
	b.reportReached(ctx, m, api.MachinesLaunched)
	return nil
}

func (b *machineBringUp) setPowerOffTimer(ctx workflow.Context, m activities.MachineRef) error {
	if b.powerOffAt.IsZero() {
		return nil
	}
	in := nodes.ArmInput{Machine: m, At: b.powerOffAt}
	return b.runStep(ctx, m, "set the power-off timer", nodeActivities.Arm, in)
}

// clearPowerOffTimer removes the timer, once the cluster works with the machine.
func (b *machineBringUp) clearPowerOffTimer(ctx workflow.Context, m activities.MachineRef) error {
	if b.powerOffAt.IsZero() {
		return nil
	}
	if err := b.runStep(ctx, m, stepClearPowerOff, nodeActivities.Disarm, m); err != nil {
		return err
	}
	b.progress.setReady(ctx, m)
	return nil
}

const stepClearPowerOff = "clear the power-off timer"

func (b *machineBringUp) installRKE2(ctx workflow.Context, m activities.MachineRef) error {
	if err := b.runStep(ctx, m, "install RKE2", nodeActivities.Prepare, m); err != nil {
		return err
	}
	b.reportReached(ctx, m, api.MachinesPrepared)
	return nil
}

func (b *machineBringUp) startServerOrJoin(ctx workflow.Context, m activities.MachineRef) error {
	if m.Role == api.RoleHead {
		return b.startServer(ctx, m)
	}
	return b.joinCluster(ctx, m)
}

// startServer starts RKE2 on the head and waits for the Kubernetes API. Workers wait only for the supervisor, which
// answers earlier.
func (b *machineBringUp) startServer(ctx workflow.Context, m activities.MachineRef) error {
	if err := b.restoreServer(ctx, m); err != nil {
		return err
	}
	if err := b.runStep(ctx, m, "start the server", nodeActivities.StartHead, m); err != nil {
		return err
	}
	b.joins.openQueue()
	if err := b.runStep(ctx, m, "wait for the Kubernetes API", nodeActivities.AwaitServer, m); err != nil {
		return err
	}
	b.reportReached(ctx, m, api.ControlPlaneReady)
	return nil
}

func (b *machineBringUp) joinCluster(ctx workflow.Context, m activities.MachineRef) error {
	b.progress.setStep(ctx, m, "wait for the head")
	leave, err := b.joins.enterQueue(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return b.runStep(ctx, m, "join the cluster", nodeActivities.Join, m)
}

func (b *machineBringUp) awaitNodeReady(ctx workflow.Context, m activities.MachineRef) error {
	if err := b.runStep(ctx, m, "wait for the Node", nodeActivities.AwaitNode, m); err != nil {
		return err
	}
	b.progress.setReady(ctx, m)
	b.reportReached(ctx, m, api.NodesReady)
	return nil
}

// runStep runs one of the longer activities on a machine and shows it as the machine's current step.
func (b *machineBringUp) runStep(ctx workflow.Context, m activities.MachineRef, name string, activity, in any) error {
	b.progress.setStep(ctx, m, name)
	return step.runActivity(ctx, m.Name+": "+name, activity, in)
}

func (b *machineBringUp) reportReached(ctx workflow.Context, m activities.MachineRef, condition api.ConditionType) {
	if b.onReached != nil {
		b.onReached(ctx, m, condition)
	}
}

// joinsAtOnce bounds the workers that join at the same time: a hundred of them can wedge a server
// (rancher/rke2#3207).
const joinsAtOnce = 50

// joinQueue lets workers join once the head's supervisor answers. It is nil where the server runs already.
type joinQueue struct {
	open  bool
	slots workflow.Semaphore
}

func newJoinQueue(ctx workflow.Context, limit int64) *joinQueue {
	return &joinQueue{slots: workflow.NewSemaphore(ctx, limit)}
}

func (q *joinQueue) openQueue() {
	if q != nil {
		q.open = true
	}
}

// enterQueue waits for the server, and then for a slot, which the returned function frees.
func (q *joinQueue) enterQueue(ctx workflow.Context) (leave func(), err error) {
	if q == nil {
		return func() {}, nil
	}
	if err := workflow.Await(ctx, func() bool { return q.open }); err != nil {
		return nil, err
	}
	if err := q.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { q.slots.Release(1) }, nil
}
