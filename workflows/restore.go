package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Restore brings a cluster back to the state of a snapshot, as its record requests. It checks the snapshot before it
// changes anything. If it is cancelled because the cluster is to be deleted, it continues as Delete; at the end it
// continues as Converge, which reaches the present spec.
func Restore(ctx workflow.Context, in operation.RestoreInput) error {
	r := &restoreRun{cluster: in.Cluster, progress: newMachineProgress()}
	err := r.restoreCluster(ctx)
	if err == nil || workflow.IsContinueAsNewError(err) {
		return err
	}
	return r.endFailedRestore(ctx, err)
}

// restoreRun is the state of one run of Restore.
type restoreRun struct {
	cluster  api.Ref
	begun    record.RestoreBegun
	snapshot nodes.CheckedSnapshot
	progress *machineProgress
	// changing is set once machines are changed.
	changing bool
	// saved is the snapshot of the state before the restore, and oldData where the server's earlier data is; empty if
	// there is none.
	saved, oldData string
	// notKept is why the state before the restore is not kept as a snapshot.
	notKept string
	// left is what did not succeed and can be repaired afterwards.
	left []string
}

// restoreCluster checks the snapshot, and restores the cluster from it.
func (r *restoreRun) restoreCluster(ctx workflow.Context) error {
	if err := etcdWrite.runForResult(ctx, r.cluster.Name+": begin", &r.begun, clusterActivities.BeginRestore,
		r.cluster); err != nil {
		return err
	}
	if r.begun.Nothing {
		return continueIfChanged(ctx, r.cluster)
	}
	r.changing = r.begun.Changing
	r.saved, r.notKept = r.begun.Restore.Saved, r.begun.Restore.NotKept
	if err := snapshotRead.runForResult(ctx, r.begun.Restore.Snapshot+": check the snapshot", &r.snapshot,
		nodeActivities.CheckSnapshot, nodes.SnapshotInput{Cluster: r.cluster, Restore: r.begun.Restore}); err != nil {
		return err
	}
	restore := r.restoreOnNewMachines
	switch {
	case r.begun.Restore.Mode == api.RestoreNewMachines:
	case r.begun.Head == nil:
		return temporal.NewNonRetryableApplicationError("the cluster has no server to restore", "NoServer", nil)
	case r.begun.Restore.Mode == api.RestoreNewServer:
		restore = r.restoreOnNewServer
	default:
		restore = r.restoreInPlace
	}
	if err := restore(ctx); err != nil {
		return err
	}
	return r.finishRestore(ctx)
}

// markRestoring records that machines are changed from now on.
func (r *restoreRun) markRestoring(ctx workflow.Context, excluded bool) error {
	in := record.MarkRestoringInput{Cluster: r.cluster, ID: r.begun.Restore.ID, Excluded: excluded,
		Saved: r.saved, NotKept: r.notKept}
	err := etcdWrite.runActivity(ctx, r.cluster.Name+": mark PROVISIONING", clusterActivities.MarkRestoring, in)
	r.changing = r.changing || err == nil
	return err
}

// restoreInPlace restores the server on its machine. Until its data is replaced, it serves.
func (r *restoreRun) restoreInPlace(ctx workflow.Context) error {
	head := *r.begun.Head
	b := r.newBringUp(append([]activities.MachineRef{head}, r.begun.Workers...))
	in := nodes.RestoreInput{Machine: head, Restore: r.begun.Restore}
	if err := b.runStep(ctx, head, "send the snapshot", nodeActivities.SendSnapshot, in); err != nil {
		return addMachineAndStep(err, head.Name, b.progress.stepOf(head.Name))
	}
	if err := r.keepPresentState(ctx); err != nil {
		return err
	}
	if err := r.markRestoring(ctx, false); err != nil {
		return err
	}
	for _, do := range []func(workflow.Context, activities.MachineRef) error{
		func(ctx workflow.Context, m activities.MachineRef) error {
			return b.runStep(ctx, m, "stop the server", nodeActivities.StopServer, in)
		},
		b.startServer,
		b.awaitNodeReady,
	} {
		if err := do(ctx, head); err != nil {
			return addMachineAndStep(err, head.Name, b.progress.stepOf(head.Name))
		}
	}
	r.oldData = b.oldData
	return r.rejoinWorkers(ctx, b)
}

func (r *restoreRun) newBringUp(machines []activities.MachineRef) *machineBringUp {
	r.progress.trackMachines(machines)
	return &machineBringUp{progress: r.progress, restore: &r.begun.Restore}
}

// restoreServer restores a server that does not run, from a snapshot that is sent to its machine.
func (b *machineBringUp) restoreServer(ctx workflow.Context, m activities.MachineRef) error {
	if b.restore == nil {
		return nil
	}
	in := nodes.RestoreInput{Machine: m, Restore: *b.restore}
	if err := b.runStep(ctx, m, "send the snapshot", nodeActivities.SendSnapshot, in); err != nil {
		return err
	}
	b.progress.setStep(ctx, m, "restore the server")
	var result nodes.RestoredServer
	err := step.runForResult(ctx, m.Name+": restore the server", &result, nodeActivities.RestoreServer, in)
	b.oldData = result.OldData
	return err
}

// rejoinWorkers removes the Nodes of machines that are gone, and makes the workers join the restored server, many at
// once. A worker that does not get there is left to Converge.
func (r *restoreRun) rejoinWorkers(ctx workflow.Context, b *machineBringUp) error {
	if err := r.cleanNodes(ctx, false); err != nil {
		return err
	}
	tasks := newTaskGroup(ctx, joinsAtOnce)
	for _, m := range r.begun.Workers {
		tasks.startTask(ctx, func(ctx workflow.Context) error {
			err := b.runStep(ctx, m, "rejoin the restored cluster", nodeActivities.RejoinWorker, m)
			if err == nil {
				err = b.awaitNodeReady(ctx, m)
			}
			if err == nil || ctx.Err() != nil {
				return err
			}
			workflow.GetLogger(ctx).Warn("a worker has not rejoined", "machine", m.Name, "error", err)
			r.left = append(r.left, m.Name+" has not rejoined: "+failureOf(err).Message)
			return nil
		})
	}
	return tasks.awaitTasks(ctx)
}

func (r *restoreRun) cleanNodes(ctx workflow.Context, newMachines bool) error {
	return step.runActivity(ctx, r.cluster.Name+": delete the Nodes of machines that are gone",
		nodeActivities.CleanRestored, nodes.CleanRestoredInput{Cluster: r.cluster, NewMachines: newMachines})
}

// finishRestore marks the cluster READY and continues as Converge. What the GPU stack lacks, Converge repairs.
func (r *restoreRun) finishRestore(ctx workflow.Context) error {
	if r.begun.GPUs && r.begun.Restore.Mode == api.RestoreNewMachines {
		if err := installGPUs(ctx, r.cluster, workflow.GetInfo(ctx).WorkflowExecution.RunID); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.left = append(r.left, "the GPU stack is not up: "+failureOf(err).Message)
		}
	}
	in := record.FinishRestoreInput{Cluster: r.cluster, ID: r.begun.Restore.ID, StateOf: r.snapshot.StateOf,
		Until: r.begun.Until, At: r.begun.At, OldData: r.oldData, Saved: r.saved, NotKept: r.notKept,
		Left: r.left}
	if err := slowRead.runActivity(ctx, r.cluster.Name+": measure and mark READY", clusterActivities.FinishRestore,
		in); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, Converge, operation.ConvergeInput{Cluster: r.cluster})
}

// endFailedRestore records why a restore failed. Only a start terminates what it has launched. A restore that was
// cancelled is still requested, and the next sweep continues it.
func (r *restoreRun) endFailedRestore(ctx workflow.Context, err error) error {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if _, end := readWantedState(clean, r.cluster); end != nil {
		if errorReason(end) == activities.ReasonGone {
			return nil
		}
		return end
	}
	if temporal.IsCanceledError(err) || errorReason(err) == activities.ReasonStillWanted {
		return err
	}
	failure := failureOf(err)
	if failure.Machine != "" && len(failure.Log) == 0 {
		failure.Log = readLastLogLines(clean, r.progress, failure.Machine)
	}
	if r.begun.Restore.Reason == api.RestoreStart && r.changing {
		p := &provisionRun{cluster: r.cluster}
		if left := p.terminateUntilCancelled(ctx, clean); left != nil {
			failure.Message += "; not all machines could be terminated, a sweep tries again: " + failureOf(left).Message
		}
	}
	in := record.FailRestoreInput{Cluster: r.cluster, ID: r.begun.Restore.ID, Failure: failure, OldData: r.oldData,
		Saved: r.saved}
	if err := outcomeWrite.runActivity(clean, r.cluster.Name+": record the failure", clusterActivities.FailRestore,
		in); err != nil {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}
