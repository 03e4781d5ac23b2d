package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// Repair makes what is there equal to what etcd says: it looks at the cluster, does what the planner asks for, and looks
// again, until there is nothing left that can be done now. What failed is for the planner to pace, and for a later sweep to
// try again. Where the cluster is to be deleted meanwhile, it goes on as Delete.
func Repair(ctx workflow.Context, in api.RepairInput) error {
	r := &repair{in: in, ref: in.Cluster}
	err := r.run(ctx)
	switch {
	case err == nil, workflow.IsContinueAsNewError(err):
		return err
	case reasonOf(err) == activities.ReasonGone:
		return nil
	case !temporal.IsCanceledError(err):
		return temporal.NewNonRetryableApplicationError(failureOf(err).Message, failureOf(err).Reason, nil)
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if _, end := wanted(clean, r.ref); end != nil {
		return end
	}
	return err
}

// repairRounds bounds how often a repair looks again: what it is still not done with then is for the next sweep.
const repairRounds = 10

// repair is the state of one run.
type repair struct {
	in    api.RepairInput
	ref   api.Ref
	steps int
}

func (r *repair) run(ctx workflow.Context) error {
	in := activities.AssessInput{Cluster: r.ref}
	if r.in.Again {
		in.Asked = workflow.Now(ctx)
	}
	for range repairRounds {
		var found activities.Assessed
		if err := look.do(ctx, r.ref.Name+": look at the cluster", sweeps.Assess, in).Get(ctx, &found); err != nil {
			return err
		}
		if found.Fail != nil {
			marked := activities.FailInput{Cluster: r.ref, Failure: *found.Fail}
			if err := settle.run(ctx, r.ref.Name+": mark ERROR", clusters.MarkFailed, marked); err != nil {
				return err
			}
			return temporal.NewNonRetryableApplicationError(found.Fail.Message, found.Fail.Reason, nil)
		}
		if len(found.Actions) == 0 {
			if !found.Serves {
				return nil
			}
			return record.run(ctx, r.ref.Name+": mark READY again", clusters.MarkRepaired, r.ref)
		}
		if err := r.carryOut(ctx, found); err != nil {
			return err
		}
	}
	return nil
}

// carryOut does the actions of one decision: first those that only take away, one kind after the other; then those on
// machines, all at once; last those on the whole cluster. Its error is not that of an action, which is on record.
func (r *repair) carryOut(ctx workflow.Context, found activities.Assessed) error {
	for _, kinds := range [][]api.ActionKind{
		{api.ActionTerminate}, {api.ActionForgetNode}, {api.ActionRecordAddress}, {api.ActionRestoreKeys},
		{api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp, api.ActionDisarm},
		{api.ActionRefresh}, {api.ActionWriteKubeconfig}, {api.ActionGPU},
	} {
		if err := r.atOnce(ctx, found, kinds); err != nil {
			return err
		}
	}
	return nil
}

func (r *repair) atOnce(ctx workflow.Context, found activities.Assessed, kinds []api.ActionKind) error {
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
				err = r.one(ctx, a, found.Placement)
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

// one carries out an action between two entries of the record.
func (r *repair) one(ctx workflow.Context, a activities.RepairAction, placement api.Placement) error {
	r.steps++
	entry := activities.RepairStep{
		Cluster: r.ref, ID: fmt.Sprintf("%s-%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, r.steps), Action: a.Action,
	}
	name := r.ref.Name
	if a.Machine != "" {
		name = a.Machine
	}
	if err := record.run(ctx, name+": record the repair", clusters.BeginRepair, entry); err != nil {
		return err
	}
	err := r.do(ctx, a, placement)
	if err != nil {
		failure := failureOf(err)
		entry.Error = failure.Message
		if a.Kind == api.ActionGPU {
			entry.Failure = &failure
		}
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	ended := record.run(clean, name+": record how it ended", clusters.EndRepair, entry)
	if temporal.IsCanceledError(err) || reasonOf(err) == activities.ReasonGone {
		return err
	}
	return ended
}

func (r *repair) do(ctx workflow.Context, a activities.RepairAction, placement api.Placement) error {
	m := a.On
	switch a.Kind {
	case api.ActionTerminate:
		in := activities.TerminateInput{Cluster: r.ref, Name: a.Machine, Incarnation: a.Incarnation, ID: a.ID, Index: a.Index, Unrecorded: true}
		return trying.run(ctx, a.Machine+": terminate", machines.Terminate, in)
	case api.ActionForgetNode:
		in := activities.ForgetNodeInput{Cluster: r.ref, Node: a.Node}
		return trying.run(ctx, a.Node+": forget the Node", nodes.ForgetNode, in)
	case api.ActionRecordAddress:
		return trying.run(ctx, m.Name+": record the address", machines.RecordAddress, m)
	case api.ActionRestoreKeys:
		return step.run(ctx, r.ref.Name+": restore the keys", nodes.RestoreKeys, r.ref)
	case api.ActionStartMachine:
		return r.startMachine(ctx, m)
	case api.ActionReconfigure:
		return r.startRKE2(ctx, m)
	case api.ActionRestart:
		return step.run(ctx, m.Name+": restart RKE2", nodes.Restart, m)
	case api.ActionReplace:
		return r.replace(ctx, m, a.ID, placement)
	case api.ActionBringUp:
		return r.bringUp(ctx, m, placement)
	case api.ActionDisarm:
		return step.run(ctx, m.Name+": take the power-off timer away", nodes.Disarm, m)
	case api.ActionRefresh:
		return step.run(ctx, m.Name+": refresh the credentials", nodes.RefreshCredentials, m)
	case api.ActionWriteKubeconfig:
		return record.run(ctx, r.ref.Name+": write the kubeconfig", nodes.WriteKubeconfig, r.ref)
	case api.ActionGPU:
		return installGPUs(ctx, r.ref, workflow.GetInfo(ctx).WorkflowExecution.RunID)
	}
	return temporal.NewNonRetryableApplicationError("this version of skyd does not know the action "+string(a.Kind), "UnknownAction", nil)
}

// trying is the kind of activity that a repair does not wait a day for: a later sweep asks for it again.
var trying = effort{once: 5 * time.Minute, silence: beatWithin, total: 15 * time.Minute}

// startMachine starts a machine, and RKE2 on it with the addresses that it has now.
func (r *repair) startMachine(ctx workflow.Context, m activities.MachineRef) error {
	if err := launch.run(ctx, m.Name+": start the machine", machines.StartMachine, m); err != nil {
		return err
	}
	return r.startRKE2(ctx, m)
}

// startRKE2 starts RKE2 on a machine with the addresses that are on record now, and waits for its Node.
func (r *repair) startRKE2(ctx workflow.Context, m activities.MachineRef) error {
	bring := []struct {
		doing    string
		activity any
	}{{"join the cluster", nodes.Join}}
	if m.Role == api.RoleHead {
		bring[0].doing, bring[0].activity = "start the server", nodes.StartHead
	}
	bring = append(bring, struct {
		doing    string
		activity any
	}{"wait for the Node", nodes.AwaitNode})
	for _, b := range bring {
		if err := step.run(ctx, m.Name+": "+b.doing, b.activity, m); err != nil {
			return err
		}
	}
	return nil
}

// replace gives a worker's place to a new machine: the old one, which has that id on its cloud, is emptied as far as it can still
// be reached, terminated, and its Node forgotten, before anything is launched.
func (r *repair) replace(ctx workflow.Context, old activities.MachineRef, id string, placement api.Placement) error {
	if old.Role == api.RoleHead {
		return temporal.NewNonRetryableApplicationError("a head is never replaced", "Refused", nil)
	}
	if err := step.run(ctx, old.Name+": drain the Node", nodes.Retire, old); err != nil {
		return err
	}
	in := activities.TerminateInput{Cluster: r.ref, Name: old.Name, Incarnation: old.Incarnation, ID: id, Index: old.Index}
	if err := trying.run(ctx, old.Name+": terminate", machines.Terminate, in); err != nil {
		return err
	}
	forget := activities.ForgetNodeInput{Cluster: r.ref, Node: old.NodeName}
	if err := trying.run(ctx, old.Name+": forget the Node", nodes.ForgetNode, forget); err != nil {
		return err
	}
	var fresh activities.MachineRef
	if err := record.do(ctx, old.Name+": reserve a new machine", clusters.ReplaceMachine, old).Get(ctx, &fresh); err != nil {
		return err
	}
	return r.bringUp(ctx, fresh, placement)
}

// bringUp takes a machine in its place to a Ready Node. One that does not get there is given back.
func (r *repair) bringUp(ctx workflow.Context, m activities.MachineRef, placement api.Placement) error {
	p := &provision{ref: r.ref, board: newBoard(), until: workflow.Now(ctx).Add(api.DefaultProvisionTimeout)}
	p.board.start([]activities.MachineRef{m})
	a := newAttempt(ctx, p, placement, 1)
	a.headUp, a.quiet = true, true
	err := a.bringUp(ctx, m)
	if err == nil {
		err = p.disarm(ctx, placement)
	}
	if err == nil || ctx.Err() != nil || m.Role == api.RoleHead {
		return err
	}
	failure := failureOf(blame(err, m.Name, p.board.doing[m.Name]))
	in := activities.TerminateInput{Cluster: r.ref, Name: m.Name, Incarnation: m.Incarnation}
	if left := trying.run(ctx, m.Name+": give it back", machines.Terminate, in); left != nil {
		failure.Message += "; and it could not be terminated: " + failureOf(left).Message
	}
	return temporal.NewApplicationErrorWithOptions(failure.Message, failure.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{failure},
	})
}
