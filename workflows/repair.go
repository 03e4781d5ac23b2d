package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Repair makes what is there equal to what etcd says: it looks at the cluster, does what the planner asks for, and
// looks again, until there is nothing left that can be done now. What failed is for the planner to pace, and for a
// later sweep to try again. Where the cluster is to be deleted meanwhile, it goes on as Delete.
func Repair(ctx workflow.Context, in operation.RepairInput) error {
	r := &repairRun{in: in, ref: in.Cluster}
	err := r.repairUntilDone(ctx)
	switch {
	case err == nil, workflow.IsContinueAsNewError(err):
		return err
	case errorReason(err) == activities.ReasonGone:
		return nil
	case !temporal.IsCanceledError(err):
		return temporal.NewNonRetryableApplicationError(failureOf(err).Message, failureOf(err).Reason, nil)
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if _, end := readWantedState(clean, r.ref); end != nil {
		return end
	}
	return err
}

// repairRounds bounds how often a repair looks again: what it is still not done with then is for the next sweep.
const repairRounds = 10

// repairRun is the state of one run.
type repairRun struct {
	in    operation.RepairInput
	ref   api.Ref
	steps int
}

func (r *repairRun) repairUntilDone(ctx workflow.Context) error {
	in := activities.AssessInput{Cluster: r.ref}
	if r.in.Again {
		in.Asked = workflow.Now(ctx)
	}
	for range repairRounds {
		var found activities.Assessment
		if err := slowRead.startActivity(ctx, r.ref.Name+": look at the cluster", sweepActivities.Assess, in).Get(ctx,
			&found); err != nil {
			return err
		}
		if found.Fail != nil {
			marked := activities.MarkFailedInput{Cluster: r.ref, Failure: *found.Fail}
			if err := outcomeWrite.runActivity(ctx, r.ref.Name+": mark ERROR", clusterActivities.MarkFailed,
				marked); err != nil {
				return err
			}
			return temporal.NewNonRetryableApplicationError(found.Fail.Message, found.Fail.Reason, nil)
		}
		if len(found.Actions) == 0 {
			if !found.Serves {
				return nil
			}
			return etcdWrite.runActivity(ctx, r.ref.Name+": mark READY again", clusterActivities.MarkRepaired, r.ref)
		}
		if err := r.runActions(ctx, found); err != nil {
			return err
		}
	}
	return nil
}

// runActions does the actions of one decision: first those that only take away, one kind after the other; then those on
// machines, all at once; last those on the whole cluster. Its error is not that of an action, which is on record.
func (r *repairRun) runActions(ctx workflow.Context, found activities.Assessment) error {
	for _, kinds := range [][]api.ActionKind{
		{api.ActionTerminate}, {api.ActionForgetNode}, {api.ActionRecordAddress}, {api.ActionRestoreKeys},
		{api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
			api.ActionDisarm},
		{api.ActionRefresh}, {api.ActionWriteKubeconfig}, {api.ActionGPU},
	} {
		if err := r.runActionsOfKinds(ctx, found, kinds); err != nil {
			return err
		}
	}
	return nil
}

func (r *repairRun) runActionsOfKinds(ctx workflow.Context, found activities.Assessment, kinds []api.ActionKind) error {
	var failed error
	places := workflow.NewSemaphore(ctx, joinsAtOnce)
	all := workflow.NewWaitGroup(ctx)
	for _, a := range found.Actions {
		if !slices.Contains(kinds, a.Kind) {
			continue
		}
		all.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer all.Done()
			err := places.Acquire(ctx, 1)
			if err == nil {
				defer places.Release(1)
				err = r.runRecordedAction(ctx, a, found.Placement)
			}
			if failed == nil {
				failed = err
			}
		})
	}
	rest, _ := workflow.NewDisconnectedContext(ctx) // what runs has to be seen to end
	all.Wait(rest)
	return failed
}

// runRecordedAction carries out an action between two entries of the record.
func (r *repairRun) runRecordedAction(ctx workflow.Context, a activities.RepairAction, placement api.Placement) error {
	r.steps++
	entry := activities.RepairEntry{
		Cluster: r.ref, ID: fmt.Sprintf("%s-%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, r.steps),
		Action: a.Action,
	}
	name := r.ref.Name
	if a.Machine != "" {
		name = a.Machine
	}
	if err := etcdWrite.runActivity(ctx, name+": record the repair", clusterActivities.BeginRepair, entry); err != nil {
		return err
	}
	err := r.runAction(ctx, a, placement)
	if err != nil {
		failure := failureOf(err)
		entry.Error = failure.Message
		if a.Kind == api.ActionGPU {
			entry.Failure = &failure
		}
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	ended := etcdWrite.runActivity(clean, name+": record how it ended", clusterActivities.EndRepair, entry)
	if temporal.IsCanceledError(err) || errorReason(err) == activities.ReasonGone {
		return err
	}
	return ended
}

func (r *repairRun) runAction(ctx workflow.Context, a activities.RepairAction, placement api.Placement) error {
	m := a.On
	switch a.Kind {
	case api.ActionTerminate:
		in := activities.TerminateInput{Cluster: r.ref, Name: a.Machine, Incarnation: a.Incarnation, ID: a.ID,
			Index: a.Index, Unrecorded: true}
		return repairStep.runActivity(ctx, a.Machine+": terminate", machineActivities.Terminate, in)
	case api.ActionForgetNode:
		in := activities.ForgetNodeInput{Cluster: r.ref, Node: a.Node}
		return repairStep.runActivity(ctx, a.Node+": forget the Node", nodeActivities.ForgetNode, in)
	case api.ActionRecordAddress:
		return repairStep.runActivity(ctx, m.Name+": record the address", machineActivities.RecordAddress, m)
	case api.ActionRestoreKeys:
		return step.runActivity(ctx, r.ref.Name+": restore the keys", nodeActivities.RestoreKeys, r.ref)
	case api.ActionStartMachine:
		return r.startMachine(ctx, m)
	case api.ActionReconfigure:
		return r.startRKE2(ctx, m)
	case api.ActionRestart:
		return step.runActivity(ctx, m.Name+": restart RKE2", nodeActivities.Restart, m)
	case api.ActionReplace:
		return r.replaceWorker(ctx, m, a.ID, placement)
	case api.ActionBringUp:
		return r.bringUpOrTerminate(ctx, m, placement)
	case api.ActionDisarm:
		return step.runActivity(ctx, m.Name+": take the power-off timer away", nodeActivities.Disarm, m)
	case api.ActionRefresh:
		return step.runActivity(ctx, m.Name+": refresh the credentials", nodeActivities.RefreshCredentials, m)
	case api.ActionWriteKubeconfig:
		return etcdWrite.runActivity(ctx, r.ref.Name+": write the kubeconfig", nodeActivities.WriteKubeconfig, r.ref)
	case api.ActionGPU:
		return installGPUs(ctx, r.ref, workflow.GetInfo(ctx).WorkflowExecution.RunID)
	}
	return temporal.NewNonRetryableApplicationError("this version of skyd does not know the action "+string(a.Kind),
		"UnknownAction", nil)
}

// repairStep is the kind of activity that a repair does not wait a day for: a later sweep asks for it again.
var repairStep = activityKind{once: 5 * time.Minute, silence: heartbeatTimeout, total: 15 * time.Minute}

// startMachine starts a machine, and RKE2 on it with the addresses that it has now.
func (r *repairRun) startMachine(ctx workflow.Context, m activities.MachineRef) error {
	if err := launch.runActivity(ctx, m.Name+": start the machine", machineActivities.StartMachine, m); err != nil {
		return err
	}
	return r.startRKE2(ctx, m)
}

// startRKE2 starts RKE2 on a machine with the addresses that are on record now, and waits for its Node.
func (r *repairRun) startRKE2(ctx workflow.Context, m activities.MachineRef) error {
	bring := []struct {
		doing    string
		activity any
	}{{"join the cluster", nodeActivities.Join}}
	if m.Role == api.RoleHead {
		bring[0].doing, bring[0].activity = "start the server", nodeActivities.StartHead
	}
	bring = append(bring, struct {
		doing    string
		activity any
	}{"wait for the Node", nodeActivities.AwaitNode})
	for _, b := range bring {
		if err := step.runActivity(ctx, m.Name+": "+b.doing, b.activity, m); err != nil {
			return err
		}
	}
	return nil
}

// replaceWorker gives a worker's place to a new machine: the old one, which has that id on its cloud, is emptied as far
// as it can still be reached, terminated, and its Node forgotten, before anything is launched.
func (r *repairRun) replaceWorker(ctx workflow.Context, old activities.MachineRef, id string,
	placement api.Placement) error {
	if old.Role == api.RoleHead {
		return temporal.NewNonRetryableApplicationError("a head is never replaced", "Refused", nil)
	}
	if err := step.runActivity(ctx, old.Name+": drain the Node", nodeActivities.Retire, old); err != nil {
		return err
	}
	in := activities.TerminateInput{Cluster: r.ref, Name: old.Name, Incarnation: old.Incarnation, ID: id,
		Index: old.Index}
	if err := repairStep.runActivity(ctx, old.Name+": terminate", machineActivities.Terminate, in); err != nil {
		return err
	}
	forget := activities.ForgetNodeInput{Cluster: r.ref, Node: old.NodeName}
	if err := repairStep.runActivity(ctx, old.Name+": forget the Node", nodeActivities.ForgetNode, forget); err != nil {
		return err
	}
	var fresh activities.MachineRef
	if err := etcdWrite.startActivity(ctx, old.Name+": reserve a new machine", clusterActivities.ReplaceMachine,
		old).Get(ctx,
		&fresh); err != nil {
		return err
	}
	return r.bringUpOrTerminate(ctx, fresh, placement)
}

// bringUpOrTerminate takes a machine in its place to a Ready Node. One that does not get there is given back.
func (r *repairRun) bringUpOrTerminate(ctx workflow.Context, m activities.MachineRef, placement api.Placement) error {
	p := &provisionRun{ref: r.ref, board: newMachineProgress(),
		until: workflow.Now(ctx).Add(operation.DefaultProvisionTimeout)}
	p.board.trackMachines([]activities.MachineRef{m})
	a := newPlacementAttempt(ctx, p, placement, 1)
	a.headUp, a.quiet = true, true
	err := a.bringUpWithRelaunch(ctx, m)
	if err == nil {
		err = p.clearPowerOffTimers(ctx, placement)
	}
	if err == nil || ctx.Err() != nil || m.Role == api.RoleHead {
		return err
	}
	failure := failureOf(addMachineAndStep(err, m.Name, p.board.doing[m.Name]))
	in := activities.TerminateInput{Cluster: r.ref, Name: m.Name, Incarnation: m.Incarnation}
	if left := repairStep.runActivity(ctx, m.Name+": give it back", machineActivities.Terminate, in); left != nil {
		failure.Message += "; and it could not be terminated: " + failureOf(left).Message
	}
	return temporal.NewApplicationErrorWithOptions(failure.Message, failure.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{failure},
	})
}
