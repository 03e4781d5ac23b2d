package workflows

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// stopWorld is a world in which a cluster is stopped.
type stopWorld struct {
	*restoreWorld
	stop    record.StopBegun
	stopped *record.MarkStoppedInput
	failed  *record.FailStopInput
}

func newStopWorld(t *testing.T) *stopWorld {
	t.Helper()
	w := &stopWorld{restoreWorld: newRestoreWorld(t, api.RestoreInPlace), stop: record.StopBegun{
		AskedAt: time.Unix(1000, 0)}}
	w.RegisterWorkflow(Stop)
	w.onSnapshots()
	a := &record.Activities{}
	w.OnActivity(a.BeginStop, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) (record.StopBegun,
		error) {
		return w.stop, w.did(ctx, "begin stop")
	}).Maybe()
	w.OnActivity(a.MarkStopped, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.MarkStoppedInput) error {
		w.stopped = &in
		return w.did(ctx, "stopped")
	}).Maybe()
	w.OnActivity(a.FailStop, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.FailStopInput) error {
		w.failed = &in
		return w.did(ctx, "fail stop")
	}).Maybe()
	w.OnActivity(a.FinishStop, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) error {
		return w.did(ctx, "finish stop")
	}).Maybe()
	return w
}

// onSnapshots takes and keeps the snapshots that operations need.
func (w *restoreWorld) onSnapshots() {
	s := &snapshots.Activities{}
	w.RegisterActivity(s)
	for what, activity := range map[string]any{"take": s.TakeSnapshot, "keep": s.CollectSnapshot,
		"give up": s.FailSnapshot} {
		w.OnActivity(activity, mock.Anything, mock.Anything).Return(func(ctx context.Context, _ snapshots.Ref) error {
			return w.did(ctx, what)
		}).Maybe()
	}
	w.OnActivity(s.WantSnapshot, mock.Anything, mock.Anything).Return(nil).Maybe()
}

func (w *stopWorld) run(t *testing.T) error {
	t.Helper()
	w.ExecuteWorkflow(Stop, operation.StopInput{Cluster: ref})
	if !w.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	return w.GetWorkflowError()
}

func TestStopEndsMachinesOnlyOnceTheSnapshotIsChecked(t *testing.T) {
	w := newStopWorld(t)
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	w.happened(t, "begin stop", "take", "keep", "check", "stopped", "terminate sky-c1-0", "release", "finish stop")
	if w.stopped == nil || !w.stopped.AskedAt.Equal(time.Unix(1000, 0)) ||
		!strings.HasPrefix(w.stopped.Snapshot, "stop-") || len(w.exist) != 0 {
		t.Errorf("%+v, machines %v", w.stopped, w.exist)
	}
}

func TestStopThatFailsBeforeTheClusterIsStoppedEndsNothing(t *testing.T) {
	for _, call := range []string{"take", "keep", "check", "stopped"} {
		w := newStopWorld(t)
		w.failures[call] = []error{final(call, "", "NoRoom")}
		if err := w.run(t); err == nil {
			t.Errorf("%s: no error", call)
		}
		w.hasNot(t, "terminate", "release", "finish")
		if w.failed == nil || w.failed.Failure.Reason != "NoRoom" || len(w.exist) != 3 {
			t.Errorf("%s: %+v, machines %v", call, w.failed, w.exist)
		}
	}
}

func TestStopOfAStoppedClusterOnlyEndsMachines(t *testing.T) {
	w := newStopWorld(t)
	w.stop = record.StopBegun{Stopped: true}
	if err := w.run(t); err != nil {
		t.Fatal(err)
	}
	w.hasNot(t, "take", "check", "stopped")
	w.happened(t, "terminate sky-c1-2", "finish stop")
}

func TestStopContinuesAsWhatWasRequestedMeanwhile(t *testing.T) {
	w := newStopWorld(t)
	w.wanted = record.WantedState{Next: operation.WorkflowRestore}
	continuesAs(t, w.run(t), operation.WorkflowRestore)
	w.happened(t, "finish stop")
	w = newStopWorld(t)
	w.wanted = record.WantedState{Deleted: true}
	w.during["release"] = w.cancelDuring
	continuesAs(t, w.run(t), operation.WorkflowDelete)
	w.hasNot(t, "finish")
}
