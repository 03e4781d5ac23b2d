package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// repairStep is the kind of activity that a repair tries for minutes only: a later sweep starts it again.
var repairStep = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 15 * time.Minute}

// runAction carries out one action of the planner.
func (r *repairRun) runAction(ctx workflow.Context, action observe.RepairAction, placement api.Placement) error {
	switch action.Kind {
	case api.ActionReplace:
		return r.replaceWorker(ctx, action.On, action.ID, placement)
	case api.ActionBringUp:
		return r.bringUpOrTerminate(ctx, action.On, placement)
	}
	known, err := runMachineAction(ctx, r.cluster, action)
	if !known {
		return temporal.NewNonRetryableApplicationError("this version of skyd does not know the action "+
			string(action.Kind), "UnknownAction", nil)
	}
	return err
}

// runMachineAction carries out an action that neither launches nor removes machines of the cluster. It returns false
// for any other.
func runMachineAction(ctx workflow.Context, cluster api.Ref, action observe.RepairAction) (known bool, err error) {
	m := action.On
	switch action.Kind {
	case api.ActionTerminate:
		in := machines.TerminateInput{Cluster: cluster, Name: action.Machine, Incarnation: action.Incarnation,
			ID: action.ID, Index: action.Index, Unrecorded: true}
		return true, repairStep.runActivity(ctx, action.Machine+": terminate", machineActivities.Terminate, in)
	case api.ActionForgetNode:
		return true, forgetNode(ctx, cluster, action.Node)
	case api.ActionRecordAddress:
		return true, repairStep.runActivity(ctx, m.Name+": record the address", machineActivities.RecordAddress, m)
	case api.ActionRestoreKeys:
		return true, step.runActivity(ctx, cluster.Name+": restore the keys", nodeActivities.RestoreKeys, cluster)
	case api.ActionStartMachine:
		return true, startMachine(ctx, m)
	case api.ActionReconfigure:
		return true, startRKE2(ctx, m)
	case api.ActionRestart:
		return true, step.runActivity(ctx, m.Name+": restart RKE2", nodeActivities.Restart, m)
	case api.ActionUpdateNode:
		return true, repairStep.runActivity(ctx, m.Name+": update the Node", nodeActivities.UpdateNode, m)
	case api.ActionDisarm:
		return true, step.runActivity(ctx, m.Name+": "+stepClearPowerOff, nodeActivities.Disarm, m)
	case api.ActionRefresh:
		return true, step.runActivity(ctx, m.Name+": renew the credentials", nodeActivities.RefreshCredentials, m)
	case api.ActionWriteKubeconfig:
		return true, etcdWrite.runActivity(ctx, cluster.Name+": write the kubeconfig", nodeActivities.WriteKubeconfig,
			cluster)
	case api.ActionGPU:
		return true, installGPUs(ctx, cluster, workflow.GetInfo(ctx).WorkflowExecution.RunID)
	}
	return false, nil
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
	if err := forgetNode(ctx, r.cluster, old.NodeName); err != nil {
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
