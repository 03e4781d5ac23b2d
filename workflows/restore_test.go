package workflows

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// restoreWorld is a world in which a cluster of one server and two workers is restored.
type restoreWorld struct {
	*world
	restore  record.RestoreBegun
	places   []api.Placement // of the server
	finished *record.FinishRestoreInput
	refused  *record.FailRestoreInput
	// answers: the Kubernetes API answers. notKept and saved are what MarkRestoring was given.
	answers bool
	notKept string
	saved   string
}

func newRestoreWorld(t *testing.T, mode api.RestoreMode, placements ...api.Placement) *restoreWorld {
	t.Helper()
	w := &restoreWorld{world: newWorld(t, 3, placements...), places: placements}
	w.RegisterWorkflow(Restore)
	machine := func(i int, role api.Role) activities.MachineRef {
		name := api.MachineName(ref.Name, i)
		w.exist[name] = true
		return activities.MachineRef{Cluster: ref, Index: i, Name: name, Incarnation: "old", NodeName: name + "-old",
			Role: role}
	}
	head := machine(0, api.RoleHead)
	w.restore = record.RestoreBegun{Head: &head, HeadID: "id-0", Placement: &here,
		Workers: []activities.MachineRef{machine(1, api.RoleWorker), machine(2, api.RoleWorker)},
		Restore: api.RestoreRequest{ID: "restore-1", Snapshot: "auto-1", SnapshotUID: ref.UID, Mode: mode,
			Reason: api.RestoreAsked}}
	if mode == api.RestoreNewServer {
		w.restore.Restore.LostServer, w.restore.Restore.Reason = "old", api.RestoreServerLost
	}
	w.onRestores()
	return w
}

func (w *restoreWorld) onRestores() {
	a := &record.Activities{}
	w.OnActivity(a.BeginRestore, mock.Anything, ref).Return(func(ctx context.Context,
		_ api.Ref) (record.RestoreBegun, error) {
		return w.restore, w.did(ctx, "begin")
	}).Maybe()
	w.OnActivity(a.MarkRestoring, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.MarkRestoringInput) error {
		if in.Excluded {
			return w.did(ctx, "excluded")
		}
		w.notKept, w.saved = in.NotKept, in.Saved
		return w.did(ctx, "restoring")
	}).Maybe()
	w.OnActivity(a.FinishRestore, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.FinishRestoreInput) error {
		w.finished = &in
		return w.did(ctx, "finish")
	}).Maybe()
	w.OnActivity(a.FailRestore, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.FailRestoreInput) error {
		w.refused = &in
		return w.did(ctx, "fail")
	}).Maybe()
	w.OnActivity(a.ReplaceMachine, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		m activities.MachineRef) (activities.MachineRef, error) {
		m.Incarnation, m.NodeName = "new", m.Name+"-new"
		return m, w.did(ctx, "replace "+m.Name)
	}).Maybe()
	w.onRestoredServers()
}

func (w *restoreWorld) onRestoredServers() {
	m, n := &machines.Activities{}, &nodes.Activities{}
	w.OnActivity(m.PlanServer, mock.Anything, ref).Return(func(context.Context, api.Ref) ([]api.Placement, error) {
		return w.places, nil
	}).Maybe()
	w.OnActivity(m.RepositionMachine, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in machines.RepositionInput) (activities.MachineRef, error) {
		return in.Machine, w.did(ctx, "move to "+in.Placement.Region)
	}).Maybe()
	on := func(activity any, what string) {
		w.OnActivity(activity, mock.Anything, mock.Anything).Return(func(ctx context.Context,
			m activities.MachineRef) error {
			return w.did(ctx, what+" "+m.Name)
		}).Maybe()
	}
	w.OnActivity(n.CheckServing, mock.Anything, ref).Return(func(ctx context.Context,
		_ api.Ref) (nodes.Serving, error) {
		return nodes.Serving{Answers: w.answers}, w.did(ctx, "answers?")
	}).Maybe()
	on(m.ConfirmGone, "gone?")
	on(n.RejoinWorker, "rejoin")
	onServer := func(activity any, what string) {
		w.OnActivity(activity, mock.Anything, mock.Anything).Return(func(ctx context.Context,
			in nodes.RestoreInput) error {
			return w.did(ctx, what+" "+in.Machine.Name)
		}).Maybe()
	}
	onServer(n.SendSnapshot, "send")
	onServer(n.StopServer, "stop")
	w.OnActivity(n.RestoreServer, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in nodes.RestoreInput) (nodes.RestoredServer, error) {
		return nodes.RestoredServer{OldData: "/old"}, w.did(ctx, "restore "+in.Machine.Name+"-"+in.Machine.Incarnation)
	}).Maybe()
	w.OnActivity(n.CheckSnapshot, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		_ nodes.SnapshotInput) (nodes.CheckedSnapshot, error) {
		return nodes.CheckedSnapshot{StateOf: time.Unix(1000, 0)}, w.did(ctx, "check")
	}).Maybe()
	w.OnActivity(n.CleanRestored, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		_ nodes.CleanRestoredInput) error {
		return w.did(ctx, "clean")
	}).Maybe()
}

func (w *restoreWorld) run(t *testing.T) error {
	t.Helper()
	w.ExecuteWorkflow(Restore, operation.RestoreInput{Cluster: ref})
	if !w.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	return w.GetWorkflowError()
}

// cancelDuring is an activity during which its workflow is cancelled.
func (w *restoreWorld) cancelDuring(ctx context.Context) error {
	w.CancelWorkflow()
	<-ctx.Done()
	return ctx.Err()
}

// continuesAs fails unless a workflow has continued as another one.
func continuesAs(t *testing.T, err error, name string) {
	t.Helper()
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) || next.WorkflowType.Name != name {
		t.Errorf("got %v, want to continue as %s", err, name)
	}
}

// happened fails unless calls happened in this order.
func (w *restoreWorld) happened(t *testing.T, calls ...string) {
	t.Helper()
	last := -1
	for _, call := range calls {
		at := w.index(call)
		if at < 0 || at < last {
			t.Errorf("%q is at %d, and the one before it at %d", call, at, last)
		}
		last = at
	}
}

func (w *restoreWorld) hasNot(t *testing.T, prefixes ...string) {
	t.Helper()
	for _, call := range w.log {
		for _, prefix := range prefixes {
			if strings.HasPrefix(call, prefix) {
				t.Errorf("there was %q", call)
			}
		}
	}
}

func TestRestoreInPlaceKeepsServingUntilTheSnapshotIsThere(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreInPlace)
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "begin", "check", "send sky-c1-0", "restoring", "stop sky-c1-0", "restore sky-c1-0-old",
		"head sky-c1-0", "api sky-c1-0", "node sky-c1-0", "clean", "rejoin sky-c1-1", "node sky-c1-1", "finish")
	w.hasNot(t, "terminate", "submit", "replace")
	if w.finished == nil || w.finished.OldData != "/old" || !w.finished.StateOf.Equal(time.Unix(1000, 0)) {
		t.Errorf("%+v", w.finished)
	}
}

func TestRestoreThatCannotSucceedChangesNothing(t *testing.T) {
	for call, mode := range map[string]api.RestoreMode{
		"check": api.RestoreNewMachines, "send sky-c1-0": api.RestoreInPlace, "begin": api.RestoreNewServer,
	} {
		w := newRestoreWorld(t, mode, here)
		w.failures[call] = []error{final("check the snapshot", "", "SnapshotDamaged")}
		if err := w.run(t); err == nil {
			t.Errorf("%s: no error", call)
		}
		w.hasNot(t, "terminate", "stop", "restor", "excluded")
		if w.refused == nil || w.refused.Failure.Reason != "SnapshotDamaged" || len(w.exist) != 3 {
			t.Errorf("%s: %+v, machines %v", call, w.refused, w.exist)
		}
	}
}

func TestServerIsReplacedOnlyOnceTheOldOneIsGone(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here)
	left := final("confirm", "sky-c1-0", activities.ReasonLeft)
	w.failures["gone? sky-c1-0"] = []error{left, left}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "check", "restoring", "terminate sky-c1-0", "gone? sky-c1-0", "excluded", "replace sky-c1-0",
		"submit sky-c1-0", "prepare sky-c1-0", "send sky-c1-0", "restore sky-c1-0-new", "head sky-c1-0", "clean",
		"rejoin sky-c1-2", "finish")
	w.hasNot(t, "stop", "terminate sky-c1-1")
}

func TestServerThatStaysListedIsNeverReplaced(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here)
	for range terminateRounds {
		w.failures["gone? sky-c1-0"] = append(w.failures["gone? sky-c1-0"],
			final("confirm", "sky-c1-0", activities.ReasonLeft))
	}
	if err := w.run(t); err == nil {
		t.Fatal("no error")
	}
	w.hasNot(t, "replace", "submit", "restore ", "excluded")
	if w.refused == nil || w.refused.Failure.Reason != activities.ReasonLeft {
		t.Errorf("%+v", w.refused)
	}
}

func TestServerGoesToAnotherPlacementOfItsRegion(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here, there)
	w.nodes = 1
	w.failures["submit sky-c1-0"] = []error{final("launch", "sky-c1-0", string(cloud.Capacity))}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "replace sky-c1-0", "move to there", "restore sky-c1-0-new", "finish")
	if len(w.tried) != 1 || w.tried[0].Placement != here {
		t.Errorf("%+v", w.tried)
	}
}

func TestRestoreWaitsUntilAPlacementHasAMachine(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here, there)
	w.nodes = 1
	for range 5 {
		w.failures["submit sky-c1-0"] = append(w.failures["submit sky-c1-0"],
			final("launch", "sky-c1-0", string(cloud.Capacity)))
	}
	before := w.Now()
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "replace sky-c1-0", "move to there", "move to here", "restore sky-c1-0-new", "finish")
	if took := w.Now().Sub(before); w.refused != nil || len(w.tried) != 5 ||
		took < firstServerPause+2*firstServerPause {
		t.Errorf("%d tries in %s, failure %+v", len(w.tried), took, w.refused)
	}
}

func TestRestoreFailsIfNoPlacementGrantsAccess(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here)
	w.failures["submit sky-c1-0"] = []error{final("launch", "sky-c1-0", string(cloud.Access))}
	if err := w.run(t); err == nil || w.refused == nil || w.refused.Failure.Reason != string(cloud.Access) {
		t.Errorf("got %v, and the record %+v", err, w.refused)
	}
}

func TestContinuedRestoreDoesNotEndTheNewServer(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewServer, here)
	w.restore.Head.Incarnation, w.restore.Changing = "new", true
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.hasNot(t, "terminate", "replace")
	w.happened(t, "submit sky-c1-0", "restore sky-c1-0-new", "finish")
}

func TestWorkerThatDoesNotRejoinIsLeftToConverge(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreInPlace)
	w.failures["rejoin sky-c1-1"] = []error{final("rejoin", "sky-c1-1", "Deadline")}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	if w.finished == nil || len(w.finished.Left) != 1 || !strings.Contains(w.finished.Left[0], "sky-c1-1") {
		t.Errorf("%+v", w.finished)
	}
}

func TestRestoreOnNewMachinesEndsAllAndPrefersTheFormerPlace(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewMachines, there, here)
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "check", "restoring", "terminate sky-c1-2", "release", "excluded", "reserve here", "submit sky-c1-0",
		"send sky-c1-0", "head sky-c1-0", "join sky-c1-1", "clean", "finish")
	w.hasNot(t, "reserve there", "rejoin")
}

func TestInterruptedRestoreOnNewMachinesGoesOnWithThem(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreNewMachines, there, here)
	w.restore.Changing, w.restore.Restore.Excluded, w.restore.Serves = true, true, true
	w.survey = machines.SurveyResult{Head: true}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.hasNot(t, "terminate", "reserve there", "take")
	w.happened(t, "check", "reserve here", "head sky-c1-0", "clean", "finish")
}

// newServingWorld is a world in which the cluster to be restored serves, and snapshots can be taken.
func newServingWorld(t *testing.T, mode api.RestoreMode) *restoreWorld {
	t.Helper()
	w := newRestoreWorld(t, mode, here)
	w.onSnapshots()
	w.restore.Serves, w.answers = true, true
	return w
}

func TestStateIsKeptBeforeMachinesAreEnded(t *testing.T) {
	w := newServingWorld(t, api.RestoreNewMachines)
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "check", "answers?", "take", "keep", "restoring", "terminate sky-c1-0", "finish")
	if !strings.HasPrefix(w.finished.Saved, "before-restore-") || w.saved != w.finished.Saved ||
		w.finished.NotKept+w.notKept != "" {
		t.Errorf("kept as %q; not kept: %q, %q", w.finished.Saved, w.finished.NotKept, w.notKept)
	}
}

func TestRestoreWithoutACopyOfServedStateChangesNothing(t *testing.T) {
	for _, mode := range []api.RestoreMode{api.RestoreNewMachines, api.RestoreInPlace} {
		for call, why := range map[string]string{"take": "Unreachable", "keep": "QuotaReached", "answers?": "NoKey"} {
			w := newServingWorld(t, mode)
			w.restore.Serves = false // the last sweep may have asked in a bad moment
			w.failures[call] = []error{final(call, "", why)}
			if err := w.run(t); err == nil {
				t.Errorf("%s, %s: no error", mode, call)
			}
			w.hasNot(t, "restoring", "stop", "terminate", "release", "finish")
			if w.refused == nil || w.refused.Failure.Reason != "StateNotKept" || len(w.exist) != 3 ||
				!strings.Contains(w.refused.Failure.Message, "--discard-state") ||
				strings.Contains(w.refused.Failure.Message, "skyctl delete snapshot") != (why == "QuotaReached") {
				t.Errorf("%s, %s: %+v, machines %v", mode, call, w.refused, w.exist)
			}
		}
	}
}

func TestRestoreGoesOnWhereNoStateCanBeKept(t *testing.T) {
	for why, tt := range map[string]struct {
		change func(*restoreWorld)
		asks   bool
	}{
		stateDiscarded: {func(w *restoreWorld) { w.restore.Restore.DiscardState = true }, false},
		serverGone:     {func(w *restoreWorld) { w.restore.HeadGone = true }, false},
	} {
		w := newServingWorld(t, api.RestoreNewMachines)
		tt.change(w)
		continuesAs(t, w.run(t), operation.WorkflowConverge)
		w.hasNot(t, "take")
		if w.notKept != why || w.finished == nil || w.finished.NotKept != why || w.index("answers?") >= 0 != tt.asks {
			t.Errorf("%s: marked %q, finished %+v", why, w.notKept, w.finished)
		}
	}
	stopped := newServingWorld(t, api.RestoreNewMachines)
	stopped.restore.Stopped, stopped.restore.Serves = true, false
	continuesAs(t, stopped.run(t), operation.WorkflowConverge)
	stopped.hasNot(t, "take", "answers?")
	if stopped.notKept != "" {
		t.Errorf("of a stopped cluster: %q", stopped.notKept)
	}
	lost := newServingWorld(t, api.RestoreNewServer)
	lost.restore.Restore.Reason = api.RestoreAsked
	continuesAs(t, lost.run(t), operation.WorkflowConverge)
	if lost.notKept != serverGone {
		t.Errorf("of a lost server: %q", lost.notKept)
	}
}

func TestSilentClusterIsKeptWhereItsServerTakesASnapshot(t *testing.T) {
	w := newServingWorld(t, api.RestoreNewMachines)
	w.answers = false
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "answers?", "take", "keep", "restoring", "terminate sky-c1-0", "finish")
	if w.finished.Saved == "" || w.saved != w.finished.Saved || w.finished.NotKept+w.notKept != "" {
		t.Errorf("kept as %q; not kept: %q, %q", w.finished.Saved, w.finished.NotKept, w.notKept)
	}

	w = newServingWorld(t, api.RestoreNewMachines)
	w.answers, w.failures["take"] = false, []error{final("take", "sky-c1-0", "Unreachable")}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.happened(t, "answers?", "take", "restoring", "terminate sky-c1-0", "finish")
	w.hasNot(t, "keep")
	if why := w.finished.NotKept; !strings.HasPrefix(why, apiSilent+", and the server took no snapshot: ") ||
		w.notKept != why {
		t.Errorf("not kept: %q, %q", w.finished.NotKept, w.notKept)
	}

	w = newServingWorld(t, api.RestoreNewMachines) // what was taken is not thrown away
	w.answers, w.failures["keep"] = false, []error{final("keep", "", "QuotaReached")}
	if err := w.run(t); err == nil || w.refused == nil || w.refused.Failure.Reason != "StateNotKept" {
		t.Errorf("%v, %+v", err, w.refused)
	}
	w.hasNot(t, "restoring", "terminate", "finish")
}

func TestSilentClusterOfAnEarlierVersionIsNotAsked(t *testing.T) {
	w := newServingWorld(t, api.RestoreNewMachines)
	w.OnGetVersion("require-kept-state", workflow.DefaultVersion, workflow.Version(2)).Return(workflow.Version(1))
	w.answers = false
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.hasNot(t, "take")
	if w.notKept != apiSilent || w.finished.NotKept != apiSilent {
		t.Errorf("not kept: %q, %q", w.finished.NotKept, w.notKept)
	}
}

func TestRestoreThatIsTriedAgainKeepsNoHalfRestoredState(t *testing.T) {
	for _, mode := range []api.RestoreMode{api.RestoreInPlace, api.RestoreNewMachines, api.RestoreNewServer} {
		for saved, notKept := range map[string]string{"before-restore-1": "", "": apiSilent} {
			w := newServingWorld(t, mode)
			r := &w.restore.Restore
			r.Reason, r.Changed, r.Saved, r.NotKept = api.RestoreAsked, true, saved, notKept
			continuesAs(t, w.run(t), operation.WorkflowConverge)
			w.hasNot(t, "take", "answers?")
			if f := w.finished; f == nil || f.Saved != saved || f.NotKept != notKept || w.notKept != notKept {
				t.Errorf("%s: marked %q, finished %+v", mode, w.notKept, f)
			}
		}
	}
}

func TestContinuedRestoreRemembersWhyNoStateIsKept(t *testing.T) {
	w := newServingWorld(t, api.RestoreNewMachines)
	w.restore.Changing, w.restore.Restore.Changed, w.restore.Restore.NotKept = true, true, stateDiscarded
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	if w.finished == nil || w.finished.NotKept != stateDiscarded {
		t.Errorf("finished %+v", w.finished)
	}
}

func TestRestoreOfAnEarlierVersionGoesOnWithoutItsCopy(t *testing.T) {
	w := newServingWorld(t, api.RestoreNewMachines)
	w.OnGetVersion("require-kept-state", workflow.DefaultVersion, workflow.Version(2)).Return(workflow.DefaultVersion)
	w.failures["take"] = []error{final("take", "sky-c1-0", "NoRoom")}
	continuesAs(t, w.run(t), operation.WorkflowConverge)
	w.hasNot(t, "answers?")
	w.happened(t, "take", "restoring", "terminate sky-c1-0", "finish")
}

func TestFailedRestoreKeepsMachinesAndAFailedStartEndsThem(t *testing.T) {
	for reason, exist := range map[api.RestoreReason]int{api.RestoreAsked: 3, api.RestoreStart: 0} {
		w := newRestoreWorld(t, api.RestoreNewMachines, here)
		w.restore.Restore.Reason = reason
		w.during["submit sky-c1-0"] = w.until(func() bool { return len(w.exist) == 2 })
		w.failures["head sky-c1-0"] = []error{final("start the server", "sky-c1-0", "NewerCredentials")}
		if err := w.run(t); err == nil {
			t.Fatal("no error")
		}
		if w.refused == nil || w.refused.Failure.Reason != "NewerCredentials" || len(w.exist) != exist ||
			!slices.Contains(w.refused.Failure.Log, "last words of sky-c1-0") {
			t.Errorf("%s: %+v, machines %v", reason, w.refused, w.exist)
		}
	}
}

func TestDeleteTakesOverFromARestore(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreInPlace)
	w.wanted = record.WantedState{Deleted: true}
	w.during["head sky-c1-0"] = w.cancelDuring
	continuesAs(t, w.run(t), operation.WorkflowDelete)
	if w.refused != nil || w.finished != nil {
		t.Errorf("%+v, %+v", w.refused, w.finished)
	}
}

func TestCancelledRestoreStaysRequested(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreInPlace)
	w.during["head sky-c1-0"] = w.cancelDuring
	if err := w.run(t); err == nil || w.refused != nil {
		t.Errorf("got %v, and the record %+v", err, w.refused)
	}
}

func TestRestoreThatIsNotRequestedDoesNothing(t *testing.T) {
	w := newRestoreWorld(t, api.RestoreInPlace)
	w.restore = record.RestoreBegun{Nothing: true}
	if err := w.run(t); err != nil || len(w.log) != 1 {
		t.Errorf("got %v", err)
	}
}
