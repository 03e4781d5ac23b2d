package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// repairStep is the kind of activity that a repair tries for minutes only: a later sweep starts it again.
var repairStep = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 15 * time.Minute}

// runAction carries out one action of the planner.
func (r *repairRun) runAction(ctx workflow.Context, action observe.RepairAction, placement api.Placement) error {
	m := action.On
	switch action.Kind {
	case api.ActionTerminate:
		in := machines.TerminateInput{Cluster: r.cluster, Name: action.Machine, Incarnation: action.Incarnation,
			ID: action.ID, Index: action.Index, Unrecorded: true}
		return repairStep.runActivity(ctx, action.Machine+": terminate", machineActivities.Terminate, in)
	case api.ActionForgetNode:
		return r.deleteNode(ctx, action.Node)
	case api.ActionRecordAddress:
		return repairStep.runActivity(ctx, m.Name+": record the address", machineActivities.RecordAddress, m)
	case api.ActionRestoreKeys:
		return step.runActivity(ctx, r.cluster.Name+": restore the keys", nodeActivities.RestoreKeys, r.cluster)
	case api.ActionStartMachine:
		return startMachine(ctx, m)
	case api.ActionReconfigure:
		return startRKE2(ctx, m)
	case api.ActionRestart:
		return step.runActivity(ctx, m.Name+": restart RKE2", nodeActivities.Restart, m)
	case api.ActionReplace:
		return r.replaceWorker(ctx, m, action.ID, placement)
	case api.ActionBringUp:
		return r.bringUpOrTerminate(ctx, m, placement)
	case api.ActionDisarm:
		return step.runActivity(ctx, m.Name+": "+stepClearPowerOff, nodeActivities.Disarm, m)
	case api.ActionRefresh:
		return step.runActivity(ctx, m.Name+": renew the credentials", nodeActivities.RefreshCredentials, m)
	case api.ActionWriteKubeconfig:
		return etcdWrite.runActivity(ctx, r.cluster.Name+": write the kubeconfig", nodeActivities.WriteKubeconfig,
			r.cluster)
	case api.ActionGPU:
		return installGPUs(ctx, r.cluster, workflow.GetInfo(ctx).WorkflowExecution.RunID)
	}
	return temporal.NewNonRetryableApplicationError("this version of skyd does not know the action "+
		string(action.Kind), "UnknownAction", nil)
}

func (r *repairRun) deleteNode(ctx workflow.Context, node string) error {
	in := nodes.ForgetNodeInput{Cluster: r.cluster, Node: node}
	return repairStep.runActivity(ctx, node+": delete the Node", nodeActivities.ForgetNode, in)
}

// startMachine starts a stopped machine, and RKE2 on it with its new addresses.
func startMachine(ctx workflow.Context, m activities.MachineRef) error {
	if err := launch.runActivity(ctx, m.Name+": start the machine", machineActivities.StartMachine, m); err != nil {
		return err
	}
	return startRKE2(ctx, m)
}

// startRKE2 starts RKE2 on a machine with the addresses on record, and waits for its Node.
func startRKE2(ctx workflow.Context, m activities.MachineRef) error {
	b := &machineBringUp{progress: newMachineProgress()}
	b.progress.trackMachines([]activities.MachineRef{m})
	if m.Role == api.RoleHead {
		if err := b.runStep(ctx, m, "start the server", nodeActivities.StartHead, m); err != nil {
			return err
		}
	} else if err := b.joinCluster(ctx, m); err != nil {
		return err
	}
	return b.awaitNodeReady(ctx, m)
}

// replaceWorker launches a new machine for a worker's index. Before that it drains the old one, which has that id on
// its cloud, as far as it still answers, terminates it and deletes its Node.
func (r *repairRun) replaceWorker(ctx workflow.Context, old activities.MachineRef, id string,
	placement api.Placement) error {
	if old.Role == api.RoleHead {
		return temporal.NewNonRetryableApplicationError("a head is never replaced", "Refused", nil)
	}
	if err := step.runActivity(ctx, old.Name+": drain the Node", nodeActivities.Retire, old); err != nil {
		return err
	}
	in := machines.TerminateInput{Cluster: r.cluster, Name: old.Name, Incarnation: old.Incarnation, ID: id,
		Index: old.Index}
	if err := repairStep.runActivity(ctx, old.Name+": terminate", machineActivities.Terminate, in); err != nil {
		return err
	}
	if err := r.deleteNode(ctx, old.NodeName); err != nil {
		return err
	}
	var replacement activities.MachineRef
	if err := etcdWrite.runForResult(ctx, old.Name+": reserve a new machine", &replacement,
		clusterActivities.ReplaceMachine, old); err != nil {
		return err
	}
	return r.bringUpOrTerminate(ctx, replacement, placement)
}

// bringUpOrTerminate takes a reserved machine to a Ready Node. A worker that does not get there is terminated.
func (r *repairRun) bringUpOrTerminate(ctx workflow.Context, m activities.MachineRef, placement api.Placement) error {
	deadline := workflow.Now(ctx).Add(operation.DefaultProvisionTimeout)
	b := &machineBringUp{progress: newMachineProgress(), powerOffAt: powerOffTime(placement, deadline)}
	b.progress.trackMachines([]activities.MachineRef{m})
	err := b.bringUpMachine(ctx, m)
	if err == nil {
		err = b.clearPowerOffTimer(ctx, m)
	}
	if err == nil || ctx.Err() != nil || m.Role == api.RoleHead {
		return err
	}
	failure := failureOf(addMachineAndStep(err, m.Name, b.progress.stepOf(m.Name)))
	in := machines.TerminateInput{Cluster: r.cluster, Name: m.Name, Incarnation: m.Incarnation}
	if left := repairStep.runActivity(ctx, m.Name+": terminate", machineActivities.Terminate, in); left != nil {
		failure.Message += "; the machine could not be terminated: " + failureOf(left).Message
	}
	return temporal.NewApplicationErrorWithOptions(failure.Message, failure.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{failure},
	})
}
