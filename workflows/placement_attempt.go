package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
)

// placementAttempt tries to bring up the whole cluster in one placement: all machines at once, with workers joining
// once the head's server accepts them. The first error stops all machines.
type placementAttempt struct {
	cluster    api.Ref
	progress   *machineProgress
	bringUp    *machineBringUp
	tasks      *taskGroup
	milestones map[api.ConditionType]*milestone
}

// milestone counts the machines that have reached a condition, which holds once all have.
type milestone struct {
	left    int
	reached map[int]bool // by machine index: a machine that is launched again reaches it again
}

// maxRelaunches bounds how often a lost machine is launched again.
const maxRelaunches = 3

// tryPlacement brings up all machines in one placement. If the head is lost after workers joined it, tryPlacement
// terminates all machines and starts over, because the workers hold the certificates of the lost head.
func (p *provisionRun) tryPlacement(ctx workflow.Context, placement machines.ClusterPlacement) error {
	err := p.bringUpAllMachines(ctx, placement)
	for n := 0; p.isHeadLost(err) && ctx.Err() == nil && n < maxRelaunches; n++ {
		if terminateAllMachines(ctx, cleanup, p.cluster) != nil {
			return err
		}
		err = p.bringUpAllMachines(ctx, placement)
	}
	return err
}

// isHeadLost says whether an attempt failed because its head is gone.
func (p *provisionRun) isHeadLost(err error) bool {
	if errorReason(err) != activities.ReasonLost {
		return false
	}
	m, known := p.progress.findMachine(failureOf(err).Machine)
	return known && m.Role == api.RoleHead
}

func (p *provisionRun) bringUpAllMachines(ctx workflow.Context, at machines.ClusterPlacement) error {
	var machines []activities.MachineRef
	placement := at.Placement
	in := record.ReserveInput{Cluster: p.cluster, Placement: placement, Pools: at.Pools, Specs: at.Specs}
	if err := etcdWrite.runForResult(ctx, p.cluster.Name+": reserve the machines", &machines,
		clusterActivities.Reserve, in); err != nil {
		return err
	}
	p.progress.trackMachines(machines)
	tasks, work := newStoppingTaskGroup(ctx, 0)
	a := newPlacementAttempt(ctx, p, placement, tasks, len(machines))
	inline := machines
	if workflow.GetVersion(ctx, "bring-up-groups", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		var groups []BringUpInput
		inline, groups = a.formGroups(machines)
		p.attempt = a
		for _, group := range groups {
			tasks.startTask(work, func(ctx workflow.Context) error { return a.bringUpGroup(ctx, group) })
		}
	}
	for _, m := range inline {
		tasks.startTask(work, func(ctx workflow.Context) error {
			err := a.bringUpWithRelaunch(ctx, m)
			return addMachineAndStep(err, m.Name, p.progress.stepOf(m.Name))
		})
	}
	return a.blameLostHead(ctx, machines, tasks.awaitTasks(ctx))
}

func newPlacementAttempt(ctx workflow.Context, p *provisionRun, placement api.Placement, tasks *taskGroup,
	count int) *placementAttempt {
	a := &placementAttempt{
		cluster: p.cluster, progress: p.progress, tasks: tasks,
		milestones: map[api.ConditionType]*milestone{
			api.MachinesLaunched:  {count, map[int]bool{}},
			api.MachinesPrepared:  {count, map[int]bool{}},
			api.ControlPlaneReady: {1, map[int]bool{}},
			api.NodesReady:        {count, map[int]bool{}},
		},
	}
	a.bringUp = &machineBringUp{
		progress: p.progress, joins: newJoinQueue(ctx, joinsAtOnce), powerOffAt: powerOffTime(placement, p.deadline),
		restore: p.restore, onReached: a.countAtMilestone,
	}
	return a
}

// bringUpWithRelaunch takes one machine to a Ready Node. If its cloud ends the machine meanwhile, it is launched again;
// not so the head once workers may have joined it.
func (a *placementAttempt) bringUpWithRelaunch(ctx workflow.Context, m activities.MachineRef) error {
	for n := 0; ; n++ {
		err := a.bringUp.bringUpMachine(ctx, m)
		mayBeJoined := m.Role == api.RoleHead && a.bringUp.joins.open
		if errorReason(err) != activities.ReasonLost || mayBeJoined || n == maxRelaunches || ctx.Err() != nil {
			return err
		}
		if m, err = replaceLostMachine(ctx, a.cluster, a.progress, m); err != nil {
			return err
		}
	}
}

// formGroups returns the servers, and the workers in groups of one pool each.
func (a *placementAttempt) formGroups(machines []activities.MachineRef) (servers []activities.MachineRef,
	groups []BringUpInput) {
	var pools []string
	workers := map[string][]activities.MachineRef{}
	for _, m := range machines {
		if m.Role == api.RoleHead {
			servers = append(servers, m)
			continue
		}
		if workers[m.Pool] == nil {
			pools = append(pools, m.Pool)
		}
		workers[m.Pool] = append(workers[m.Pool], m)
	}
	for _, pool := range pools {
		for group := range slices.Chunk(workers[pool], maxGroupSize) {
			groups = append(groups, BringUpInput{Cluster: a.cluster, Pool: pool, Machines: group,
				PowerOffAt: a.bringUp.powerOffAt, Together: true})
		}
	}
	for i := range groups {
		groups[i].JoinsAtOnce = max(1, joinsAtOnce/int64(len(groups)))
	}
	return servers, groups
}

// countAtMilestone counts a machine that has reached a condition.
func (a *placementAttempt) countAtMilestone(ctx workflow.Context, m activities.MachineRef,
	condition api.ConditionType) {
	s := a.milestones[condition]
	if s.reached[m.Index] {
		return
	}
	s.reached[m.Index] = true
	if s.left--; s.left == 0 {
		a.recordCondition(ctx, condition)
	}
}

// recordCondition records that a condition holds. Only the end of the attempt waits for it.
func (a *placementAttempt) recordCondition(ctx workflow.Context, condition api.ConditionType) {
	in := record.SetConditionInput{
		Cluster: a.cluster, Condition: api.Condition{Type: condition, Status: api.ConditionTrue},
	}
	a.tasks.startTask(ctx, func(ctx workflow.Context) error {
		return etcdWrite.runActivity(ctx, a.cluster.Name+": "+string(condition), clusterActivities.SetCondition, in)
	})
}

// blameLostHead returns the error of an attempt. A worker may fail because its head is gone, before the head's own
// steps notice; then the error is that of the head.
func (a *placementAttempt) blameLostHead(ctx workflow.Context, machines []activities.MachineRef, err error) error {
	if err == nil || !a.bringUp.joins.open || ctx.Err() != nil || errorReason(err) == activities.ReasonLost ||
		workflow.GetVersion(ctx, "blame-lost-head", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return err
	}
	for _, m := range machines {
		if m.Role != api.RoleHead || failureOf(err).Machine == m.Name {
			continue
		}
		if current, ok := a.progress.findMachine(m.Name); ok { // it may have been launched again
			m = current
		}
		lost := lostCheck.runActivity(ctx, m.Name+": check whether it exists", nodeActivities.CheckLost, m)
		if errorReason(lost) == activities.ReasonLost {
			return lost
		}
	}
	return err
}

// receiveReachedConditions takes from the groups which of their machines have reached a condition.
func (p *provisionRun) receiveReachedConditions(ctx workflow.Context) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		clean, _ := workflow.NewDisconnectedContext(ctx)
		for {
			var reached reachedCondition
			workflow.GetSignalChannel(ctx, signalReached).Receive(clean, &reached)
			for _, index := range reached.Machines {
				if p.attempt != nil {
					p.attempt.countAtMilestone(ctx, activities.MachineRef{Index: index}, reached.Condition)
				}
			}
		}
	})
}
