package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestClusterIsRestored(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "vital")
	s := storeKeptSnapshot(t, ref, "one")
	asked, err := c.RestoreCluster(t.Context(), readStoredCluster(t, ref), RestoreOptions{Snapshot: s})
	if err != nil || !asked.Changed || asked.Unstarted != nil || asked.Cluster.Status.Restore == nil {
		t.Fatalf("%+v, %v", asked, err)
	}
	restored, err := c.AwaitRestored(t.Context(), asked.Cluster, patience, ignore)
	if err != nil || restored.Status.Phase != api.PhaseReady || restored.Status.Restored.Snapshot != "one" {
		t.Fatalf("%+v, %v", restored, err)
	}
}

func TestRestoreThatIsRefusedWritesNothing(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "vital")
	s := storeKeptSnapshot(t, ref, "one")
	s.State = api.SnapshotTaken
	before := readStoredCluster(t, ref)
	if _, err := c.RestoreCluster(t.Context(), before, RestoreOptions{Snapshot: s}); !errors.As(err,
		new(*api.RefusedError)) {
		t.Errorf("got %v", err)
	}
	if now := readStoredCluster(t, ref); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("the cluster was written: %+v", now.Status)
	}
}

// TestFailedRestoreIsReported ends restores and stops in each way that leaves their goal unreached.
func TestFailedRestoreIsReported(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	began := time.Now()
	c.now = func() time.Time { return began } // it waits for the warning that follows, for as long as that takes
	toError := func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		_, err := w.Store.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
			cl.Status.SetPhase(api.PhaseError, "WrongToken", time.Now().UTC())
			cl.Status.Failure = &api.Failure{Step: "restore the snapshot", Reason: "WrongToken", Message: "bad token"}
			return nil
		})
		return err
	}
	callOff := func(ctx context.Context, w *skydstub.World, ref api.Ref) error { // before anything was changed
		_, err := w.Store.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
			cl.Status.Restore, cl.Status.Stop = nil, nil
			return nil
		})
		if err != nil {
			return err
		}
		now := time.Now().Add(time.Second)
		return w.Store.RecordEvent(ctx, api.Event{Cluster: ref.Name, UID: ref.UID, Type: api.EventWarning,
			Reason: "NotDone", Message: "there is no room on the disk", First: now, Last: now})
	}
	fail := func(context.Context, *skydstub.World, api.Ref) error { return errors.New("the worker is confused") }
	for name, tt := range map[string]struct {
		play func(context.Context, *skydstub.World, api.Ref) error
		want string
	}{
		"to-error":   {toError, "restore the snapshot: WrongToken: bad token"},
		"called-off": {callOff, "there is no room on the disk"},
		"failed":     {fail, "the worker is confused"},
	} {
		world.SetBehavior(name, skydstub.Behavior{
			Restore: func(ctx context.Context, w *skydstub.World, in operation.RestoreInput) error {
				return tt.play(ctx, w, in.Cluster)
			},
			Stop: func(ctx context.Context, w *skydstub.World, in operation.StopInput) error {
				return tt.play(ctx, w, in.Cluster)
			},
		})
		ref := storeReadyCluster(t, name)
		stop, err := c.StopCluster(t.Context(), ref)
		if err == nil {
			_, err = c.AwaitStopped(t.Context(), stop.Cluster, patience, ignore)
		}
		if failed := new(OperationFailedError); !errors.As(err, &failed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("stop, %s: %v", name, err)
		}
		if _, err := world.Store.UpdateCluster(t.Context(), ref, func(cl *api.Cluster) error {
			cl.Status.SetPhase(api.PhaseReady, "", time.Now().UTC())
			cl.Status.Stop = nil
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		asked, err := c.RestoreCluster(t.Context(), readStoredCluster(t, ref),
			RestoreOptions{Snapshot: storeKeptSnapshot(t, ref, "one")})
		if err == nil {
			_, err = c.AwaitRestored(t.Context(), asked.Cluster, patience, ignore)
		}
		if failed := new(OperationFailedError); !errors.As(err, &failed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("restore, %s: %v", name, err)
		}
	}
}

func TestClusterIsStoppedAndStarted(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "sleeps")
	stop, err := c.StopCluster(t.Context(), ref)
	if err != nil || !stop.Changed || stop.Unstarted != nil {
		t.Fatalf("%+v, %v", stop, err)
	}
	stopped, err := c.AwaitStopped(t.Context(), stop.Cluster, patience, ignore)
	if err != nil || stopped.Status.Phase != api.PhaseStopped || api.AnyMachineMayExist(stopped.Status.Machines) {
		t.Fatalf("%+v, %v", stopped, err)
	}
	if again, err := c.StopCluster(t.Context(), ref); err != nil || again.Changed {
		t.Errorf("a second stop: %+v, %v", again, err)
	}
	start, err := c.StartCluster(t.Context(), ref)
	if err != nil || !start.Changed || start.Unstarted != nil {
		t.Fatalf("%+v, %v", start, err)
	}
	ready, err := c.AwaitRestored(t.Context(), start.Cluster, patience, ignore)
	if err != nil || ready.Status.Phase != api.PhaseReady || ready.Status.Stop != nil ||
		ready.Status.Restored.Reason != api.RestoreStart {
		t.Fatalf("%+v, %v", ready, err)
	}
	if again, err := c.StartCluster(t.Context(), ref); err != nil || again.Changed {
		t.Errorf("a second start: %+v, %v", again, err)
	}
}

func TestLocalDataIsListed(t *testing.T) {
	world.StartWorker(t)
	ref := storeReadyCluster(t, "stateful")
	world.SetBehavior("stateful", skydstub.Behavior{ListLocalData: func() (operation.LocalDataResult, error) {
		return operation.LocalDataResult{Data: []api.LocalData{{Kind: api.LocalPod, Name: "alone"}}, Total: 1}, nil
	}})
	c := newClient(t)
	if r, err := c.ListLocalData(t.Context(), ref); err != nil || r.Total != 1 || r.Data[0].Name != "alone" {
		t.Errorf("%+v, %v", r, err)
	}
	world.SetBehavior("stateful", skydstub.Behavior{ListLocalData: func() (operation.LocalDataResult, error) {
		return operation.LocalDataResult{}, errors.New("the API server does not answer")
	}})
	if _, err := c.ListLocalData(t.Context(), ref); err == nil || err.Error() != "the API server does not answer" {
		t.Errorf("got %v", err)
	}
}

func TestDamagedSnapshotFileIsARefusal(t *testing.T) {
	world.StartWorker(t)
	ref := storeReadyCluster(t, "rotten")
	world.SetBehavior("rotten", skydstub.Behavior{SnapshotProblem: "its file is damaged"})
	err := newClient(t).CheckSnapshotFile(t.Context(), storeKeptSnapshot(t, ref, "one"))
	if refused := new(api.SnapshotRefusedError); !errors.As(err, &refused) || refused.Why != "its file is damaged" {
		t.Errorf("got %v", err)
	}
}
