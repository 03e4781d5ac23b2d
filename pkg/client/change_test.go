package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func scaleTo(n int) func(*api.Cluster) error {
	return func(c *api.Cluster) error { return c.Spec.ScaleTo(n) }
}

func TestChangeStartsConvergeAndIsAwaited(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "grows")
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(5))
	if err != nil || !r.Changed || r.Unstarted != nil || r.Cluster.Metadata.Generation != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	got, err := c.AwaitChange(t.Context(), r.Cluster, Goal{Name: "at 5 machines"}, patience, ignore)
	if err != nil || got.Status.ObservedGeneration != 2 || len(got.Status.Machines) != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := c.ChangeSpec(t.Context(), got, scaleTo(5))
	if err != nil || again.Changed || again.Cluster.Metadata.Generation != 2 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestSecondPersonHearsThatTheClusterHasChanged(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	seen := readStoredCluster(t, storeReadyCluster(t, "contested"))
	if _, err := c.ChangeSpec(t.Context(), seen, scaleTo(4)); err != nil {
		t.Fatal(err)
	}
	_, err := c.ChangeSpec(t.Context(), seen, scaleTo(9))
	if conflict := new(store.SpecConflictError); !errors.As(err, &conflict) {
		t.Errorf("got %v", err)
	}
	if now := readStoredCluster(t, seen.Ref()); now.Spec.MachineCount() != 4 {
		t.Errorf("%+v", now.Spec)
	}
}

func TestChangeDuringAnOperationOnlySignalsIt(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "busy")
	release, rounds := make(chan struct{}), make(chan int64, 10)
	world.SetBehavior("busy", skydstub.Behavior{Converge: func(ctx context.Context, w *skydstub.World,
		in operation.ConvergeInput) error {
		cl, err := w.Store.ReadCluster(ctx, in.Cluster.Name)
		if err != nil {
			return err
		}
		rounds <- cl.Metadata.Generation
		<-release
		return w.SucceedConverge(ctx, in.Cluster)
	}})
	first, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(4))
	if err != nil || <-rounds != 2 {
		t.Fatal(err)
	}
	run, err := c.readLatestRun(t.Context(), world.Temporal, "busy")
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.ChangeSpec(t.Context(), first.Cluster, scaleTo(6))
	if err != nil || second.Unstarted != nil {
		t.Fatalf("%+v, %v", second, err)
	}
	close(release)
	got, err := c.AwaitChange(t.Context(), second.Cluster, Goal{Name: "at 6 machines"}, patience, ignore)
	if err != nil || len(got.Status.Machines) != 6 || <-rounds != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if now, err := c.readLatestRun(t.Context(), world.Temporal, "busy"); err != nil || now.id != run.id {
		t.Errorf("another run was started: %+v, %v", now, err)
	}
}

func TestRecordedChangeIsNeverReportedAsFailed(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "recorded")
	if _, err := c.ConnectTemporal(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := c.ChangeSpec(ctx, readStoredCluster(t, ref), func(cl *api.Cluster) error {
		time.AfterFunc(0, cancel) // a person presses Ctrl-C as it is written
		return cl.Spec.ScaleTo(4)
	})
	now := readStoredCluster(t, ref)
	if written := now.Metadata.Generation == 2; written != (err == nil) {
		t.Errorf("written: %v, but the result is %+v, %v", written, r, err)
	}
	c.now = func() time.Time { return time.Now().Add(-time.Hour) }
	c.temporal.Close() // from now on it fails
	r, err = c.ChangeSpec(t.Context(), now, scaleTo(7))
	if err != nil || !r.Changed || r.Unstarted == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "refuses")
	seen := readStoredCluster(t, ref)
	_, err := c.ChangeSpec(t.Context(), seen, scaleTo(1000))
	if fields := api.FieldErrorsOf(err); len(fields) != 1 || fields[0].Field != "num_nodes" {
		t.Errorf("got %v", err)
	}
	setClusterDrift(t, ref, api.PhaseDeleting)
	if _, err := c.ChangeSpec(t.Context(), seen, scaleTo(2)); !errors.As(err, new(*store.UnchangeableError)) {
		t.Errorf("got %v", err)
	}
	gone := *seen
	gone.Metadata.UID = "of an earlier cluster"
	if _, err := c.ChangeSpec(t.Context(), &gone, scaleTo(2)); !errors.As(err, new(*ClusterReplacedError)) {
		t.Errorf("got %v", err)
	}
	if now := readStoredCluster(t, ref); now.Metadata.Generation != 1 {
		t.Errorf("%+v", now.Metadata)
	}
}

func TestChangeOfAStoppedClusterIsRecordedAndStartsNothing(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "sleeps")
	setClusterDrift(t, ref, api.PhaseStopped)
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(5))
	if err != nil || !r.Changed || r.Unstarted != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if run, err := c.readLatestRun(t.Context(), c.temporal, ref.Name); err != nil || run.id != "" {
		t.Errorf("%+v runs, %v", run, err)
	}
	_, err = c.AwaitChange(t.Context(), r.Cluster, Goal{Name: "at 5 machines"}, patience, ignore)
	if stopped := new(StoppedError); !errors.As(err, &stopped) {
		t.Errorf("got %v", err)
	}
}

func TestWaitForAChangeEndsWithError(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "fails")
	world.SetBehavior("fails", skydstub.Behavior{Converge: func(ctx context.Context, w *skydstub.World,
		in operation.ConvergeInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "repair", Reason: "HeadLost", Message: "it is gone"})
	}})
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(4))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AwaitChange(t.Context(), r.Cluster, Goal{Name: "at 4 machines"}, patience, ignore)
	if failed := new(OperationFailedError); !errors.As(err, &failed) || failed.Failure.Message != "it is gone" {
		t.Errorf("got %v", err)
	}
}

func TestWaitSaysWhatStartsAnIdleChange(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "idle")
	world.SetBehavior("idle", skydstub.Behavior{Converge: func(context.Context, *skydstub.World,
		operation.ConvergeInput) error {
		return nil // it ends without having done anything
	}})
	if _, err := c.PauseReconcile(t.Context(), "idle"); err != nil {
		t.Fatal(err)
	}
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(4))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	hasSaid := func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, text) })
	}
	done := make(chan error)
	go func() {
		_, err := c.AwaitChange(t.Context(), r.Cluster, Goal{Name: "at 4 machines"}, patience, func(p Progress) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, p.Notice)
		})
		done <- err
	}()
	eventually.Holds(t, "the pause", func() bool { return hasSaid("skyctl resume reconcile idle") })
	if _, err := c.ResumeReconcile(t.Context(), "idle"); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the sweep", func() bool { return hasSaid("waiting for the next sweep") })
	world.SetBehavior("idle", skydstub.Behavior{})
	if err := start.SignalConverge(t.Context(), world.Temporal, world.Config.Temporal.TaskQueue, "as a sweep does",
		operation.ConvergeInput{Cluster: ref}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFailedOperationEndsTheWaitForAChange(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "broken")
	world.SetBehavior("broken", skydstub.Behavior{Converge: func(context.Context, *skydstub.World,
		operation.ConvergeInput) error {
		return temporal.NewNonRetryableApplicationError("etcd is full", "Full", nil)
	}})
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(4))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AwaitChange(t.Context(), r.Cluster, Goal{Name: "at 4 machines"}, patience, ignore)
	if err == nil || err.Error() != "changing cluster broken stopped: etcd is full" {
		t.Errorf("got %v", err)
	}
}

func TestWaitForAGoalEndsThoughMoreIsUnderWay(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "goes-on")
	release := make(chan struct{})
	defer close(release)
	world.SetBehavior("goes-on", skydstub.Behavior{Converge: func(ctx context.Context, w *skydstub.World,
		in operation.ConvergeInput) error {
		_, err := w.BeginConverge(ctx, in.Cluster, api.MachineReady, "")
		<-release // the generation is not reached
		return err
	}})
	r, err := c.ChangeSpec(t.Context(), readStoredCluster(t, ref), scaleTo(4))
	if err != nil {
		t.Fatal(err)
	}
	goal := Goal{Name: "at 4 machines", IsReached: func(cl *api.Cluster) bool {
		return len(cl.Status.Machines) == 4 && cl.Status.Machines[3].State == api.MachineReady
	}}
	got, err := c.AwaitChange(t.Context(), r.Cluster, goal, patience, ignore)
	if err != nil || got.Status.ObservedGeneration >= got.Metadata.Generation {
		t.Errorf("%+v, %v", got, err)
	}
}
