package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
)

// runAction carries out one action of the planner.
func (r *convergeRun) runAction(ctx workflow.Context, action observe.RepairAction) error {
	m := action.On
	switch action.Kind {
	case api.ActionAddMachines:
		return r.addMachines(ctx, action.Pool)
	case api.ActionRemove:
		return r.removeMachine(ctx, action)
	case api.ActionReplace:
		return r.retireMachine(ctx, action)
	case api.ActionBringUp: // of the head; workers come in groups
		return bringUpHead(ctx, m)
	}
	known, err := runMachineAction(ctx, r.cluster, action)
	if !known {
		return temporal.NewNonRetryableApplicationError("this version of skyd does not know the action "+
			string(action.Kind), "UnknownAction", nil)
	}
	return err
}

// addMachines reserves the machines that a pool lacks, in the best placement. The next round brings them up.
func (r *convergeRun) addMachines(ctx workflow.Context, pool string) error {
	name := r.cluster.Name + "/" + pool
	var planned machines.PoolPlan
	if err := cloudQuery.runForResult(ctx, name+": list placements", &planned, machineActivities.PlanPool,
		machines.PlanPoolInput{Cluster: r.cluster, Pool: pool}); err != nil {
		return err
	}
	in := record.AddMachinesInput{Cluster: r.cluster, Pool: pool, Placement: planned.Placements[0],
		Asked: planned.Asked}
	return etcdWrite.runActivity(ctx, name+": reserve machines", clusterActivities.AddMachines, in)
}

// removeMachine takes a machine out of its cluster for good.
func (r *convergeRun) removeMachine(ctx workflow.Context, action observe.RepairAction) error {
	m := action.On
	if m.Role == api.RoleHead {
		return temporal.NewNonRetryableApplicationError("a server is never removed", "Refused", nil)
	}
	if err := etcdWrite.runActivity(ctx, m.Name+": mark it as leaving", clusterActivities.MarkLeaving,
		record.MarkLeavingInput{Machine: m, Reason: action.Leaving}); err != nil {
		if errorReason(err) == activities.ReasonStillWanted {
			return temporal.NewCanceledError() // no failure: nothing was to be done
		}
		return err
	}
	if action.HasNode {
		if err := drainMachine(ctx, action); err != nil {
			return err
		}
	}
	if err := terminateMachine(ctx, r.cluster, action); err != nil {
		return err
	}
	if err := forgetNode(ctx, r.cluster, m.NodeName); err != nil {
		return err
	}
	return etcdWrite.runActivity(ctx, m.Name+": forget the machine", clusterActivities.ForgetMachine, m)
}

// retireMachine ends a machine and reserves another one for its index, which the next round brings up. It has the same
// placement, unless its pool has another machine spec by now.
func (r *convergeRun) retireMachine(ctx workflow.Context, action observe.RepairAction) error {
	old := action.On
	if old.Role == api.RoleHead {
		return temporal.NewNonRetryableApplicationError("a head is never replaced", "Refused", nil)
	}
	var planned machines.PoolPlan
	if action.Outdated { // before the pods are moved: there may be no place for such machines
		if err := cloudQuery.runForResult(ctx, old.Name+": list placements", &planned, machineActivities.PlanPool,
			machines.PlanPoolInput{Cluster: r.cluster, Pool: action.Pool}); err != nil {
			return err
		}
	}
	drain := func() error {
		return step.runActivity(ctx, old.Name+": drain the Node", nodeActivities.Retire, old)
	}
	if action.Orderly {
		drain = func() error { return drainMachine(ctx, action) }
	}
	if action.HasNode {
		if err := drain(); err != nil {
			return err
		}
	}
	if err := terminateMachine(ctx, r.cluster, action); err != nil {
		if action.Outdated && action.HasNode { // its pool may get the machine's spec again, and then it stays
			uncordonNode(ctx, old)
		}
		return err
	}
	if err := forgetNode(ctx, r.cluster, old.NodeName); err != nil {
		return err
	}
	if action.Outdated {
		return etcdWrite.runActivity(ctx, old.Name+": reserve another machine", machineActivities.RepositionMachine,
			machines.RepositionInput{Machine: old, Placement: planned.Placements[0], Spec: planned.Spec()})
	}
	return etcdWrite.runActivity(ctx, old.Name+": reserve a new machine", clusterActivities.ReplaceMachine, old)
}

// drainMachine moves the pods off a machine, within the limits of its pool. A drain that is stopped or ends with pods
// left makes the Node schedulable again, unless the machine is to leave anyway.
func drainMachine(ctx workflow.Context, action observe.RepairAction) error {
	m := action.On
	in := nodes.DrainMachineInput{Machine: m, Timeout: time.Duration(action.DrainTimeout), Force: action.DrainForce,
		Reason: action.Message}
	kind := activityKind{attempt: in.LongestDrain(), heartbeat: heartbeatTimeout, total: in.LongestDrain() + time.Hour}
	err := kind.runActivity(ctx, m.Name+": drain the Node", nodeActivities.DrainMachine, in)
	if err != nil && action.Kind == api.ActionReplace {
		uncordonNode(ctx, m)
	}
	return err
}

// uncordonNode makes a Node schedulable again whose machine stays, also if ctx has ended.
func uncordonNode(ctx workflow.Context, m activities.MachineRef) {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if left := uncordon.runActivity(clean, m.Name+": make the Node schedulable again", nodeActivities.UncordonNode,
		m); left != nil {
		workflow.GetLogger(ctx).Warn("the Node stays cordoned", "node", m.NodeName, "error", left)
	}
}

func terminateMachine(ctx workflow.Context, cluster api.Ref, action observe.RepairAction) error {
	m := action.On
	in := machines.TerminateInput{Cluster: cluster, Name: m.Name, Incarnation: m.Incarnation, ID: action.ID,
		Index: m.Index}
	return cleanup.runActivity(ctx, m.Name+": terminate", machineActivities.Terminate, in)
}

func forgetNode(ctx workflow.Context, cluster api.Ref, node string) error {
	in := nodes.ForgetNodeInput{Cluster: cluster, Node: node}
	return repairStep.runActivity(ctx, node+": delete the Node", nodeActivities.ForgetNode, in)
}

// bringUpHead resumes bringing up the head.
func bringUpHead(ctx workflow.Context, m activities.MachineRef) error {
	b := &machineBringUp{progress: newMachineProgress()}
	b.progress.trackMachines([]activities.MachineRef{m})
	return addMachineAndStep(b.bringUpMachine(ctx, m), m.Name, b.progress.stepOf(m.Name))
}
