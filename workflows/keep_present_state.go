package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/pkg/api"
)

// The reasons why a restore goes on although it has no snapshot of the present state.
const (
	serverGone      = "the machine of the server is gone"
	apiSilent       = "the Kubernetes API did not answer"
	stateDiscarded  = "it was discarded by --discard-state"
	reasonStateLost = "StateNotKept"
)

// keepPresentState takes a snapshot of the state that the restore is about to replace, and keeps it off the machines.
// A failure ends the restore, unless a person gave the state up: nothing is changed. Where the Kubernetes API is
// silent, the server is asked all the same; if it takes no snapshot, the restore goes on without, and notKept says why.
func (r *restoreRun) keepPresentState(ctx workflow.Context) error {
	if r.begun.Changing || r.begun.Stopped {
		return nil // an earlier run, or the stop, did this
	}
	const change = "require-kept-state"
	version := workflow.GetVersion(ctx, change, workflow.DefaultVersion, 2)
	if version == workflow.DefaultVersion {
		r.tryToKeepState(ctx)
		return nil
	}
	switch {
	case r.begun.Restore.Changed:
		return nil // an earlier try did this; now the state may be that of a half-finished restore
	case r.begun.Restore.DiscardState:
		r.notKept = stateDiscarded
		return nil
	case r.begun.Head == nil || r.begun.HeadGone:
		r.notKept = serverGone
		return nil
	}
	var serving nodes.Serving
	if err := slowRead.runForResult(ctx, r.cluster.Name+": ask whether the API answers", &serving,
		nodeActivities.CheckServing, r.cluster); err != nil {
		return r.newNotKeptError(err)
	}
	if !serving.Answers && version == 1 {
		r.notKept = apiSilent
		return nil
	}
	name, taken, err := takeSnapshot(ctx, r.cluster, api.SnapshotBeforeRestore)
	if err != nil && !taken && !serving.Answers && !temporal.IsCanceledError(err) {
		r.notKept = apiSilent + ", and the server took no snapshot: " + failureOf(err).Message
		return nil
	}
	if err != nil {
		return r.newNotKeptError(err)
	}
	r.saved = name
	return nil
}

// newNotKeptError says that nothing was changed because the present state could not be kept, and what a person can do.
func (r *restoreRun) newNotKeptError(cause error) error {
	if temporal.IsCanceledError(cause) {
		return cause
	}
	f := failureOf(cause)
	room := ""
	if f.Reason == activities.ReasonQuotaReached {
		room = "; snapshots that are not needed give room: skyctl get snapshots, then skyctl delete snapshot NAME " +
			"--cluster CLUSTER"
	}
	f.Step, f.Reason = "keep the present state", reasonStateLost
	f.Message = fmt.Sprintf("the present state could not be kept as a snapshot: %s. Correct that, and run the same "+
		"command again%s. To restore without keeping the present state, add --discard-state", f.Message, room)
	return temporal.NewApplicationErrorWithOptions(f.Message, f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: cause, Details: []any{f},
	})
}

// tryToKeepState is what runs that started with an earlier version do: they go on if the snapshot fails.
func (r *restoreRun) tryToKeepState(ctx workflow.Context) {
	if !r.begun.Serves {
		return
	}
	name, _, err := takeSnapshot(ctx, r.cluster, api.SnapshotBeforeRestore)
	if err != nil {
		workflow.GetLogger(ctx).Warn("the state before the restore is not kept as a snapshot", "error", err)
		return
	}
	r.saved = name
}
