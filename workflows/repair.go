package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Repair is what Converge was in older versions: it observed a cluster, carried out the planner's actions stage by
// stage, and observed again. A run that started then ends the actions that it has begun, and continues as Converge.
func Repair(ctx workflow.Context, in operation.RepairInput) error {
	r := &repairRun{in: in, cluster: in.Cluster}
	err := r.repairUntilDone(ctx)
	if err == nil {
		return continueIfChanged(ctx, r.cluster)
	}
	return endOperation(ctx, r.cluster, err)
}

// repairRounds bounds how often a repair observes the cluster; the next sweep starts another repair if needed.
const repairRounds = 10

// repairRun is the state of one run of Repair.
type repairRun struct {
	in      operation.RepairInput
	cluster api.Ref
	actions int // started so far
}

func (r *repairRun) repairUntilDone(ctx workflow.Context) error {
	in := observe.AssessInput{Cluster: r.cluster}
	if r.in.Again {
		in.Asked = workflow.Now(ctx)
	}
	for round := range repairRounds {
		if workflow.GetVersion(ctx, fmt.Sprintf("converge-from-round-%d", round), workflow.DefaultVersion,
			1) != workflow.DefaultVersion {
			return workflow.NewContinueAsNewError(ctx, Converge,
				operation.ConvergeInput{Cluster: r.cluster, Again: r.in.Again})
		}
		var assessed observe.Assessment
		if err := slowRead.runForResult(ctx, r.cluster.Name+": observe the cluster", &assessed, sweepActivities.Assess,
			in); err != nil {
			return err
		}
		switch {
		case assessed.Fail != nil:
			return failCluster(ctx, r.cluster, *assessed.Fail)
		case len(assessed.Actions) > 0:
			if err := r.runActions(ctx, assessed); err != nil {
				return err
			}
		case assessed.Serves:
			return etcdWrite.runActivity(ctx, r.cluster.Name+": mark READY again", clusterActivities.MarkRepaired,
				r.cluster)
		default:
			return nil
		}
	}
	return nil
}

// actionStages is the order of actions: first those that remove or restore something, then those on single machines,
// last those on the whole cluster. Actions of a stage run side by side.
var actionStages = [][]api.ActionKind{
	{api.ActionTerminate},
	{api.ActionForgetNode},
	{api.ActionRecordAddress},
	{api.ActionRestoreKeys},
	{api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
		api.ActionDisarm},
	{api.ActionRefresh},
	{api.ActionWriteKubeconfig},
	{api.ActionGPU},
}

// actionsAtOnce bounds the actions of a stage that run at the same time; each may make a worker join.
const actionsAtOnce = joinsAtOnce

// runActions carries out the actions of one assessment. An action that fails is on record and is no error here.
func (r *repairRun) runActions(ctx workflow.Context, assessed observe.Assessment) error {
	for _, kinds := range actionStages {
		stage := newTaskGroup(ctx, actionsAtOnce)
		for _, action := range assessed.Actions {
			if slices.Contains(kinds, action.Kind) {
				stage.startTask(ctx, func(ctx workflow.Context) error {
					return r.runRecordedAction(ctx, action, assessed.Placement)
				})
			}
		}
		if err := stage.awaitTasks(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runRecordedAction carries out an action, and records its start and its result.
func (r *repairRun) runRecordedAction(ctx workflow.Context, action observe.RepairAction,
	placement api.Placement) error {
	r.actions++
	entry := record.RepairEntry{
		Cluster: r.cluster, ID: fmt.Sprintf("%s-%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, r.actions),
		Action: action.Action,
	}
	name := r.cluster.Name
	if action.Machine != "" {
		name = action.Machine
	}
	if err := etcdWrite.runActivity(ctx, name+": record the repair", clusterActivities.BeginRepair, entry); err != nil {
		return err
	}
	err := r.runAction(ctx, action, placement)
	if err != nil {
		failure := failureOf(err)
		entry.Error = failure.Message
		if action.Kind == api.ActionGPU {
			entry.Failure = &failure
		}
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	notRecorded := etcdWrite.runActivity(clean, name+": record the result", clusterActivities.EndRepair, entry)
	if temporal.IsCanceledError(err) || errorReason(err) == activities.ReasonGone {
		return err
	}
	return notRecorded
}
