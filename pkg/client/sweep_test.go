package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeReadyCluster stores a READY cluster.
func storeReadyCluster(t *testing.T, name string) api.Ref {
	t.Helper()
	c := newWantedCluster(name)
	c.Metadata.UID = "uid-of-" + name
	c, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := world.SucceedCreate(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	return c.Ref()
}

// setClusterDrift records drift of a cluster, in a phase.
func setClusterDrift(t *testing.T, ref api.Ref, phase api.Phase, seen ...api.Drift) {
	t.Helper()
	_, err := world.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		c.Status.SetPhase(phase, "", time.Now().UTC())
		c.Status.SetDrift(seen, time.Now().UTC())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readStoredCluster(t *testing.T, ref api.Ref) *api.Cluster {
	t.Helper()
	c, err := world.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recordTriedRepair records a repair that failed.
func recordTriedRepair(ctx context.Context, w *skydstub.World, ref api.Ref, failure string) error {
	_, err := w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.BeginRepair(api.Repair{ID: "tried", At: time.Now().UTC(),
			Action: api.Action{Kind: api.ActionReplace, Reason: api.DriftMachineGone}})
		c.Status.EndRepair("tried", failure, time.Now().UTC())
		return nil
	})
	return err
}

var gone1 = api.Drift{Machine: "sky-x-1", Reason: api.DriftMachineGone, Message: "the cloud does not list it",
	Next: "it is replaced"}

func TestManualSweepReportsItsResult(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	storeReadyCluster(t, "swept")
	world.SetBehavior("swept", skydstub.Behavior{Sweep: func(_ context.Context, _ *skydstub.World,
		in operation.SweepInput) (operation.SweepResult, error) {
		if !in.Again || in.Cluster != "swept" {
			t.Errorf("the sweep got the input %+v", in)
		}
		return operation.SweepResult{Looked: 1,
				Drifted: []operation.DriftedCluster{{Cluster: "swept", Drift: []api.Drift{gone1}}}},
			nil
	}})
	r, err := c.SweepClusters(t.Context(), operation.SweepInput{Cluster: "swept", Again: true})
	if err != nil || r.Looked != 1 || len(r.Drifted) != 1 || r.Drifted[0].Drift[0].Reason != api.DriftMachineGone {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = c.SweepClusters(t.Context(), operation.SweepInput{}); err != nil || r.Looked != 1 || r.Drifted != nil {
		t.Errorf("all clusters: %+v, %v", r, err)
	}
	var missing *store.NotFoundError
	if _, err := c.SweepClusters(t.Context(), operation.SweepInput{Cluster: "unheard"}); !errors.As(err, &missing) {
		t.Errorf("of a cluster that is not there: %v", err)
	}
	world.SetBehavior("swept", skydstub.Behavior{Sweep: func(context.Context, *skydstub.World,
		operation.SweepInput) (operation.SweepResult, error) {
		return operation.SweepResult{}, errors.New("etcd is full")
	}})
	if _, err := c.SweepClusters(t.Context(), operation.SweepInput{Cluster: "swept"}); err == nil ||
		err.Error() != "etcd is full" {
		t.Errorf("a failed sweep: %v", err)
	}
}

func TestOrphansComeFromTheWorker(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("", skydstub.Behavior{Orphans: func(_ context.Context, _ *skydstub.World,
		in operation.OrphansInput) (operation.OrphansResult, error) {
		return operation.OrphansResult{Orphans: []api.Orphan{{Name: strings.Join(in.Terminate, "+")}},
			Unasked: []string{"aws: no"}}, nil
	}})
	r, err := newClient(t).TerminateOrphans(t.Context(), []string{"a", "b"})
	if err != nil || len(r.Orphans) != 1 || r.Orphans[0].Name != "a+b" || len(r.Unasked) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSweepWithoutAWorkerFails(t *testing.T) {
	c := newClient(t)
	c.cfg.Temporal.TaskQueue = "deserted-by-sweeps"
	now := time.Now()
	c.now = func() time.Time { now = now.Add(noWorkerAfter); return now }
	var none *NoWorkerError
	if _, err := c.SweepClusters(t.Context(), operation.SweepInput{}); !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
	if _, err := c.ListOrphans(t.Context()); !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

func TestClusterIsPausedAndResumedOnce(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "halted")
	paused := func() time.Time {
		cl, err := world.Store.ReadCluster(t.Context(), "halted")
		if err != nil {
			t.Fatal(err)
		}
		return cl.Status.PausedAt
	}
	for i, want := range []bool{true, false} {
		if changed, err := c.PauseReconcile(t.Context(), "halted"); err != nil || changed != want {
			t.Errorf("pause %d: %v, %v", i, changed, err)
		}
	}
	if paused().IsZero() {
		t.Error("it is not paused")
	}
	for i, want := range []bool{true, false} {
		if changed, err := c.ResumeReconcile(t.Context(), "halted"); err != nil || changed != want {
			t.Errorf("resume %d: %v, %v", i, changed, err)
		}
	}
	if !paused().IsZero() {
		t.Error("it is still paused")
	}
	events, err := c.ListEvents(t.Context(), "halted")
	if err != nil || len(events) != 2 || events[0].Reason != "Paused" || events[1].Reason != "Resumed" ||
		events[0].UID != ref.UID {
		t.Errorf("events %+v, %v", events, err)
	}
	var missing *store.NotFoundError
	if _, err := c.PauseReconcile(t.Context(), "unheard"); !errors.As(err, &missing) {
		t.Errorf("of a cluster that is not there: %v", err)
	}
}

func TestSweepScheduleIsPausedAndResumedOnce(t *testing.T) {
	c := newClient(t)
	now := time.Now()
	c.now = func() time.Time { now = now.Add(dialTimeout); return now }
	var none *NoScheduleError
	if _, err := c.PauseReconcile(t.Context(), ""); !errors.As(err, &none) {
		t.Errorf("without a schedule: %v", err)
	}
	if paused, err := c.IsSchedulePaused(t.Context()); paused || err != nil {
		t.Errorf("without a schedule: %v, %v", paused, err)
	}
	c.now = time.Now
	h := world.CreateSchedule(t)
	is := func(want bool) {
		t.Helper()
		eventually.Holds(t, "the schedule has changed",
			func() bool { paused, err := c.IsSchedulePaused(t.Context()); return err == nil && paused == want })
	}
	is(false)
	if changed, err := c.PauseReconcile(t.Context(), ""); err != nil || !changed {
		t.Errorf("pause: %v, %v", changed, err)
	}
	is(true)
	if changed, err := c.PauseReconcile(t.Context(), ""); err != nil || changed {
		t.Errorf("pause again: %v, %v", changed, err)
	}
	d, err := h.Describe(t.Context())
	if err != nil || !d.Schedule.State.Paused || !strings.Contains(d.Schedule.State.Note, "skyctl pause reconcile") {
		t.Errorf("%+v, %v", d.Schedule.State, err)
	}
	if changed, err := c.ResumeReconcile(t.Context(), ""); err != nil || !changed {
		t.Errorf("resume: %v, %v", changed, err)
	}
	is(false)
	if changed, err := c.ResumeReconcile(t.Context(), ""); err != nil || changed {
		t.Errorf("resume again: %v, %v", changed, err)
	}
}

func TestEventsRemainAfterTheClusterIsDeleted(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "past")
	record := func(e api.Event) {
		t.Helper()
		if err := world.Store.RecordEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	said := func(events []api.Event) string {
		var all []string
		for _, e := range events {
			all = append(all, e.Reason)
		}
		return strings.Join(all, " ")
	}
	at := time.Now().UTC()
	record(api.Event{Cluster: "past", UID: ref.UID, Reason: "A", Last: at})
	record(api.Event{Cluster: "other", UID: "other-uid", Reason: "B", Last: at.Add(time.Second)})
	if events, err := c.ListEvents(t.Context(), "past"); err != nil || said(events) != "A" {
		t.Errorf("of an existing cluster: %s, %v", said(events), err)
	}
	if err := world.Store.DeleteCluster(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	record(api.Event{Cluster: "past", UID: ref.UID, Reason: "C", Last: at.Add(2 * time.Second)})
	if events, err := c.ListEvents(t.Context(), "past"); err != nil || said(events) != "A C" {
		t.Errorf("of a deleted cluster: %s, %v", said(events), err)
	}
	watched, err := c.WatchEvents(t.Context(), "past")
	if err != nil {
		t.Fatal(err)
	}
	record(api.Event{Cluster: "other", UID: "other-uid", Reason: "D", Last: at.Add(3 * time.Second)})
	record(api.Event{Cluster: "past", UID: ref.UID, Reason: "E", Last: at.Add(4 * time.Second)})
	if got := said([]api.Event{<-watched, <-watched, <-watched}); got != "A C E" {
		t.Errorf("the watch returned %s", got)
	}
	var missing *store.NotFoundError
	if _, err := c.ListEvents(t.Context(), "unheard"); !errors.As(err, &missing) {
		t.Errorf("of one that never was: %v", err)
	}
	if _, err := c.WatchEvents(t.Context(), "unheard"); !errors.As(err, &missing) {
		t.Errorf("of one that never was: %v", err)
	}
}

func TestWaitForSyncEndsWithTheRepair(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	started := func(ref api.Ref) operation.DriftedCluster {
		t.Helper()
		if err := world.StartRepair(t.Context(), ref, true); err != nil {
			t.Fatal(err)
		}
		return operation.DriftedCluster{Cluster: ref.Name, Phase: api.PhaseReady, Started: operation.WorkflowConverge}
	}
	t.Run("in sync, also after ERROR", func(t *testing.T) {
		ref := storeReadyCluster(t, "mended")
		setClusterDrift(t, ref, api.PhaseError, gone1)
		if err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), started(ref), 0, ignore); err != nil {
			t.Error(err)
		}
	})
	t.Run("with remaining drift", func(t *testing.T) {
		ref := storeReadyCluster(t, "lasting")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		world.SetBehavior("lasting", skydstub.Behavior{Repair: func(ctx context.Context, w *skydstub.World,
			in operation.RepairInput) error {
			return recordTriedRepair(ctx, w, in.Cluster, "the cloud has no room")
		}})
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), started(ref), 0, ignore)
		var left *DriftError
		if !errors.As(err, &left) || len(left.Drift) != 1 || !strings.Contains(err.Error(), "next: it is replaced") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("in ERROR", func(t *testing.T) {
		ref := storeReadyCluster(t, "hopeless")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		world.SetBehavior("hopeless", skydstub.Behavior{Repair: func(ctx context.Context, w *skydstub.World,
			in operation.RepairInput) error {
			return w.FailCreate(ctx, in.Cluster,
				api.Failure{Step: "repair", Reason: "HeadLost", Message: "the head is gone"})
		}})
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), started(ref), 0, ignore)
		var failed *OperationFailedError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "the head is gone") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("at once if a sweep says so, even with a cordoned node", func(t *testing.T) {
		ref := storeReadyCluster(t, "cordoned")
		cordoned := api.Drift{Machine: "sky-cordoned-1", Reason: api.DriftNodeCordoned}
		setClusterDrift(t, ref, api.PhaseReady, cordoned)
		_, err := world.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
			c.Status.SetCondition(api.Condition{Type: api.InSync, Status: api.ConditionTrue}, time.Now())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		found := operation.DriftedCluster{Cluster: "cordoned", Phase: api.PhaseReady, Drift: []api.Drift{cordoned}}
		if err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), found, 0, ignore); err != nil {
			t.Error(err)
		}
	})
	t.Run("after slow drift is gone", func(t *testing.T) {
		ref := storeReadyCluster(t, "patient")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		found := operation.DriftedCluster{Cluster: "patient", Phase: api.PhaseReady, Drift: []api.Drift{gone1},
			Why: "no action is needed now"}
		sweeps := 0
		world.SetBehavior("patient", skydstub.Behavior{Sweep: func(ctx context.Context, w *skydstub.World,
			in operation.SweepInput) (operation.SweepResult, error) {
			if sweeps++; in.Again {
				t.Error("the wait keeps retrying a repair that did not help")
			}
			r := operation.SweepResult{Looked: 1, Drifted: []operation.DriftedCluster{found}}
			if sweeps == 3 {
				r.Drifted[0].Started = operation.WorkflowConverge
				return r, w.StartRepair(ctx, ref, false)
			}
			return r, nil
		}})
		c := newClient(t)
		c.sweepEvery = time.Millisecond
		var notices []string
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), found, 0,
			func(p Progress) { notices = append(notices, p.Notice) })
		if err != nil || sweeps != 3 || !strings.Contains(strings.Join(notices, "\n"),
			"waiting: sky-x-1: MachineGone: ") {
			t.Errorf("%v after %d sweeps, %q", err, sweeps, notices)
		}
	})
	t.Run("with a timeout, while drift remains", func(t *testing.T) {
		ref := storeReadyCluster(t, "long")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		found := operation.DriftedCluster{Cluster: "long", Phase: api.PhaseReady, Drift: []api.Drift{gone1}}
		world.SetBehavior("long", skydstub.Behavior{Sweep: func(context.Context, *skydstub.World,
			operation.SweepInput) (operation.SweepResult, error) {
			return operation.SweepResult{Looked: 1, Drifted: []operation.DriftedCluster{found}}, nil
		}})
		c := newClient(t)
		c.sweepEvery = 10 * time.Millisecond
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), found, 300*time.Millisecond, ignore)
		var late *WaitTimeoutError
		if !errors.As(err, &late) || late.Took != 300*time.Millisecond {
			t.Errorf("got %v", err)
		}
	})
	t.Run("at once if no operation is running", func(t *testing.T) {
		ref := storeReadyCluster(t, "resting")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		if _, err := c.PauseReconcile(t.Context(), "resting"); err != nil {
			t.Fatal(err)
		}
		found := operation.DriftedCluster{Cluster: "resting", Phase: api.PhaseReady, Drift: []api.Drift{gone1},
			Why: "it is paused"}
		c := newClient(t)
		c.checkEvery = time.Hour
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), found, 0, ignore)
		var left *DriftError
		if !errors.As(err, &left) || left.Reason != "it is paused" || len(left.Drift) != 1 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("at once in ERROR if no action is possible", func(t *testing.T) {
		ref := storeReadyCluster(t, "given-up")
		_ = world.FailCreate(t.Context(), ref,
			api.Failure{Step: "repair", Reason: "HeadLost", Message: "the head is gone"})
		c := newClient(t)
		c.checkEvery = time.Hour
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref),
			operation.DriftedCluster{Cluster: "given-up", Phase: api.PhaseError}, 0, ignore)
		var failed *OperationFailedError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "the head is gone") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with a timeout", func(t *testing.T) {
		ref := storeReadyCluster(t, "slow")
		setClusterDrift(t, ref, api.PhaseReady, gone1)
		world.SetBehavior("slow", skydstub.Behavior{Repair: func(ctx context.Context, _ *skydstub.World,
			_ operation.RepairInput) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		err := c.AwaitInSync(t.Context(), readStoredCluster(t, ref), started(ref), 100*time.Millisecond, ignore)
		var late *WaitTimeoutError
		if !errors.As(err, &late) {
			t.Errorf("got %v", err)
		}
	})
}
