package workflows

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// snapshotWorld runs KeepSnapshots against assessments that a test gives, one for each round; the last one is repeated.
type snapshotWorld struct {
	*testsuite.TestWorkflowEnvironment
	rounds []snapshots.Assessment
	log    []string
	fails  map[string]error
	// recorded are the problems with which the runs ended, onRecord what happens meanwhile.
	recorded []string
	onRecord func()
}

func newSnapshotWorld(rounds ...snapshots.Assessment) *snapshotWorld {
	w := &snapshotWorld{TestWorkflowEnvironment: newEnvironment(), rounds: rounds, fails: map[string]error{}}
	w.RegisterWorkflow(KeepSnapshots)
	w.RegisterActivity(&snapshots.Activities{})
	assessed := 0
	w.OnActivity(snapshotActivities.AssessSnapshots, mock.Anything, mock.Anything).Return(
		func(context.Context, api.Ref) (snapshots.Assessment, error) {
			assessed++
			w.log = append(w.log, "assess")
			return w.rounds[min(assessed, len(w.rounds))-1], w.fails["assess"]
		}).Maybe()
	for name, activity := range map[string]any{"take": snapshotActivities.TakeSnapshot,
		"collect": snapshotActivities.CollectSnapshot, "delete": snapshotActivities.DeleteSnapshot,
		"fail": snapshotActivities.FailSnapshot} {
		w.OnActivity(activity, mock.Anything, mock.Anything).Return(
			func(_ context.Context, in snapshots.Ref) error {
				w.log = append(w.log, name+" "+in.Name)
				return w.fails[name+" "+in.Name]
			}).Maybe()
	}
	w.OnActivity(snapshotActivities.WantSnapshot, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in snapshots.WantInput) error {
			w.log = append(w.log, "want "+string(in.Reason))
			return nil
		}).Maybe()
	w.OnActivity(snapshotActivities.RecordSnapshots, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in snapshots.RecordSnapshotsInput) error {
			w.log = append(w.log, "record")
			w.recorded = append(w.recorded, in.Problem)
			if w.onRecord != nil {
				w.onRecord()
			}
			return nil
		}).Maybe()
	return w
}

func (w *snapshotWorld) keep(t *testing.T) {
	t.Helper()
	w.ExecuteWorkflow(KeepSnapshots, operation.KeepSnapshotsInput{Cluster: ref})
	if err := w.GetWorkflowError(); !w.IsWorkflowCompleted() || err != nil {
		t.Fatalf("ended: %v, %v; log %q", w.IsWorkflowCompleted(), err, w.log)
	}
}

func (w *snapshotWorld) wantLog(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.log, want) {
		t.Errorf("got  %q\nwant %q", w.log, want)
	}
}

func TestSnapshotsAreTakenThenDeletedThenCollected(t *testing.T) {
	w := newSnapshotWorld(snapshots.Assessment{Take: []string{"a"}, Delete: []string{"old"}, Collect: []string{"b"}},
		snapshots.Assessment{Collect: []string{"a"}}, snapshots.Assessment{})
	w.keep(t)
	w.wantLog(t, "assess", "take a", "delete old", "collect b", "assess", "collect a", "assess", "record")
}

func TestSnapshotThatFailsStopsNoOtherOne(t *testing.T) {
	w := newSnapshotWorld(snapshots.Assessment{Take: []string{"a"}, Collect: []string{"b", "c"}},
		snapshots.Assessment{})
	w.fails["take a"], w.fails["collect b"] = final("take", "", "SnapshotFailed"), final("keep", "", "QuotaReached")
	w.keep(t)
	w.wantLog(t, "assess", "take a", "collect b", "collect c", "assess", "record")
}

func TestProblemWithTheServerIsRecordedAndEndsTheRun(t *testing.T) {
	w := newSnapshotWorld(snapshots.Assessment{Problem: "the server does not answer", Delete: []string{"old"}})
	w.keep(t)
	w.wantLog(t, "assess", "delete old", "record")
	if !slices.Equal(w.recorded, []string{"the server does not answer"}) {
		t.Errorf("recorded %q", w.recorded)
	}
}

func TestRequestDuringARunIsNotLost(t *testing.T) {
	w := newSnapshotWorld(snapshots.Assessment{Collect: []string{"b"}}, snapshots.Assessment{},
		snapshots.Assessment{Take: []string{"asked"}}, snapshots.Assessment{})
	w.onRecord = func() {
		if !slices.Contains(w.log, "take asked") {
			w.SignalWorkflow(operation.SignalChanged, nil)
		}
	}
	w.keep(t)
	if !slices.Contains(w.log, "take asked") {
		t.Errorf("log %q", w.log)
	}
}

func TestRunOfKeepSnapshotsEnds(t *testing.T) {
	w := newSnapshotWorld(snapshots.Assessment{Collect: []string{"b"}})
	w.keep(t)
	if n := len(w.log); n != 2*maxSnapshotRounds {
		t.Errorf("%d steps", n)
	}
}

// takeForStop is an operation that needs a snapshot.
func takeForStop(ctx workflow.Context) (string, error) {
	name, _, err := takeSnapshot(ctx, ref, api.SnapshotBeforeStop)
	return name, err
}

func TestOperationGetsItsSnapshotOffTheMachine(t *testing.T) {
	w := newSnapshotWorld()
	w.SetStartTime(time.Date(2026, 11, 29, 0, 30, 0, 0, time.UTC))
	w.ExecuteWorkflow(takeForStop)
	var name string
	if err := w.GetWorkflowResult(&name); err != nil || name != "stop-20261129-003000" {
		t.Fatalf("%q, %v", name, err)
	}
	w.wantLog(t, "want BeforeStop", "take "+name, "collect "+name)
}

func TestOperationWithoutItsSnapshotFails(t *testing.T) {
	w := newSnapshotWorld()
	w.SetStartTime(time.Date(2026, 11, 29, 0, 30, 0, 0, time.UTC))
	w.fails["collect stop-20261129-003000"] = final("keep", "", "QuotaReached")
	w.ExecuteWorkflow(takeForStop)
	if err := w.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "QuotaReached") {
		t.Errorf("got %v", err)
	}
	w.wantLog(t, "want BeforeStop", "take stop-20261129-003000", "collect stop-20261129-003000",
		"fail stop-20261129-003000")
}

func TestScheduleStartsWhatIsDue(t *testing.T) {
	w := newSnapshotWorld()
	w.RegisterWorkflow(ScheduleSnapshots)
	w.OnActivity(snapshotActivities.StartDueSnapshots, mock.Anything).Return(3, nil).Once()
	w.ExecuteWorkflow(ScheduleSnapshots)
	var started int
	if err := w.GetWorkflowResult(&started); err != nil || started != 3 {
		t.Errorf("%d, %v", started, err)
	}
	failing := newSnapshotWorld()
	failing.RegisterWorkflow(ScheduleSnapshots)
	failing.OnActivity(snapshotActivities.StartDueSnapshots, mock.Anything).Return(0, errors.New("no etcd")).Once()
	failing.ExecuteWorkflow(ScheduleSnapshots)
	if failing.GetWorkflowError() == nil {
		t.Error("no error")
	}
}
