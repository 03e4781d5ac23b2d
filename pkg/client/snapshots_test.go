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
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeKeptSnapshot stores a snapshot of a cluster that is kept off its machines.
func storeKeptSnapshot(t *testing.T, ref api.Ref, name string) api.Snapshot {
	t.Helper()
	err := world.Store.CreateSnapshot(t.Context(), api.Snapshot{Name: name, Cluster: ref.Name, ClusterUID: ref.UID,
		Reason: api.SnapshotAsked, State: api.SnapshotWanted})
	if err == nil {
		err = world.KeepSnapshot(t.Context(), ref, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return readSnapshot(t, ref, name)
}

func readSnapshot(t *testing.T, ref api.Ref, name string) api.Snapshot {
	t.Helper()
	s, err := world.Store.ReadSnapshot(t.Context(), ref, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotIsTakenVerifiedAndDeleted(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref := storeReadyCluster(t, "saved")
	asked, err := c.CreateSnapshot(t.Context(), "saved", "before-migration")
	if err != nil || !asked.Changed || asked.Unstarted != nil || asked.Snapshot.State != api.SnapshotWanted ||
		asked.Snapshot.Reason != api.SnapshotAsked {
		t.Fatalf("%+v, %v", asked, err)
	}
	kept, err := c.AwaitSnapshotKept(t.Context(), asked.Snapshot, patience, ignoreText)
	if err != nil || kept.State != api.SnapshotKept || kept.Bytes == 0 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if _, err := c.CreateSnapshot(t.Context(), "saved", "before-migration"); !errors.As(err,
		new(*store.SnapshotExistsError)) {
		t.Errorf("the same name again: %v", err)
	}
	due, err := c.VerifySnapshot(t.Context(), kept)
	if err != nil || !due.Changed || due.Unstarted != nil {
		t.Fatalf("%+v, %v", due, err)
	}
	verified, err := c.AwaitSnapshotVerified(t.Context(), due.Snapshot, patience, ignoreText)
	if err != nil || verified.Check.Result != api.SnapshotProven {
		t.Fatalf("%+v, %v", verified.Check, err)
	}
	if err := c.CheckSnapshotFile(t.Context(), kept); err != nil {
		t.Errorf("its file: %v", err)
	}
	deleting, err := c.DeleteSnapshot(t.Context(), verified)
	if err == nil {
		err = c.AwaitSnapshotDeleted(t.Context(), deleting.Snapshot, patience, ignoreText)
	}
	if _, read := world.Store.ReadSnapshot(t.Context(), ref, kept.Name); err != nil || !errors.As(read,
		new(*store.SnapshotMissingError)) {
		t.Errorf("%v, %v", err, read)
	}
}

func TestSnapshotsThatAreNotTaken(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	storeCluster(t, "coming", api.PhaseProvisioning)
	storeReadyCluster(t, "full")
	if _, err := c.CreateSnapshot(t.Context(), "coming", ""); !errors.As(err, new(*api.RefusedError)) {
		t.Errorf("of a cluster that is being created: %v", err)
	}
	if _, err := c.CreateSnapshot(t.Context(), "full", "auto-1"); len(api.FieldErrorsOf(err)) != 1 {
		t.Errorf("with a reserved name: %v", err)
	}
	if _, err := c.CreateSnapshot(t.Context(), "nobody", ""); !isClusterMissing(err) {
		t.Errorf("of no cluster: %v", err)
	}
	world.SetBehavior("full", skydstub.Behavior{KeepSnapshots: func(ctx context.Context, w *skydstub.World,
		in operation.KeepSnapshotsInput) error {
		_, err := w.Store.UpdateSnapshot(ctx, in.Cluster, "one", func(s *api.Snapshot) error {
			s.State, s.Failure = api.SnapshotFailed, "no space left on the machine"
			return nil
		})
		return err
	}})
	asked, err := c.CreateSnapshot(t.Context(), "full", "one")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AwaitSnapshotKept(t.Context(), asked.Snapshot, patience, ignoreText)
	if failed := new(SnapshotFailedError); !errors.As(err, &failed) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a snapshot that failed: %v", err)
	}
}

func TestWaitForASnapshotSaysWhatItWaitsForAndEnds(t *testing.T) {
	c := newClient(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	ref := storeReadyCluster(t, "slowly")
	t.Cleanup(func() { world.ClearState(t) })
	s := storeKeptSnapshot(t, ref, "one")
	s.State, s.Failure = api.SnapshotTaken, "the quota of 20 GiB is reached"
	if _, err := world.Store.UpdateSnapshot(t.Context(), ref, "one", func(stored *api.Snapshot) error {
		*stored = s
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	said := ""
	_, err := c.AwaitSnapshotKept(t.Context(), s, 0, func(text string) {
		said = text
		now = now.Add(failurePatience)
	})
	if failed := new(SnapshotFailedError); !errors.As(err, &failed) || !strings.Contains(err.Error(), "quota") ||
		!strings.Contains(said, "quota") {
		t.Errorf("%v; said %q", err, said)
	}
	if _, err := c.AwaitSnapshotKept(t.Context(), s, time.Minute, func(string) {
		now = now.Add(time.Minute)
	}); !errors.As(err, new(*SnapshotWaitError)) {
		t.Errorf("after the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.AwaitSnapshotKept(ctx, s, 0, func(string) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestSnapshotThatAClusterNeedsIsNotDeleted(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	ref, other := storeReadyCluster(t, "sleeper"), storeReadyCluster(t, "heir")
	s := storeKeptSnapshot(t, ref, "stop-1")
	refuse := func(what string, needs api.Ref, change func(*api.Cluster)) {
		t.Helper()
		if _, err := world.Store.UpdateCluster(t.Context(), needs, func(cl *api.Cluster) error {
			change(cl)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, err := c.DeleteSnapshot(t.Context(), s)
		if refused := new(api.SnapshotRefusedError); !errors.As(err, &refused) ||
			!strings.Contains(err.Error(), needs.Name) || readSnapshot(t, ref, s.Name).State != api.SnapshotKept {
			t.Errorf("%s: %v", what, err)
		}
	}
	refuse("of a stopped cluster", ref, func(cl *api.Cluster) {
		cl.Status.Phase, cl.Status.Stop = api.PhaseStopped, &api.StopRequest{Snapshot: "stop-1"}
	})
	if _, err := world.Store.UpdateCluster(t.Context(), ref, func(cl *api.Cluster) error {
		cl.Status.Phase, cl.Status.Stop = api.PhaseReady, nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	refuse("from which another cluster is restored", other, func(cl *api.Cluster) {
		cl.Status.Restore = &api.RestoreRequest{Snapshot: "stop-1", SnapshotUID: ref.UID}
	})
}

func TestSnapshotOfADeletedClusterIsFound(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	gone := storeReadyCluster(t, "phoenix")
	old := storeKeptSnapshot(t, gone, "last")
	if err := world.Store.DeleteCluster(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if found, err := c.FindSnapshot(t.Context(), "phoenix", "last"); err != nil || found.ClusterUID != gone.UID {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := c.FindSnapshot(t.Context(), "phoenix", "first"); !errors.As(err, new(*store.SnapshotMissingError)) {
		t.Errorf("another name: %v", err)
	}
	if _, err := c.FindSnapshot(t.Context(), "nobody", "last"); !isClusterMissing(err) {
		t.Errorf("no such cluster: %v", err)
	}
	again := storeCluster(t, "phoenix", api.PhaseReady).Ref()
	if found, err := c.FindSnapshot(t.Context(), "phoenix", "last"); err != nil || found.ClusterUID != gone.UID {
		t.Errorf("of the predecessor: %+v, %v", found, err)
	}
	storeKeptSnapshot(t, again, "last")
	if found, err := c.FindSnapshot(t.Context(), "phoenix", "last"); err != nil || found.ClusterUID != again.UID {
		t.Errorf("of both: %+v, %v", found, err)
	}
	deleting, err := c.DeleteSnapshot(t.Context(), old) // its cluster is gone
	if err == nil {
		err = c.AwaitSnapshotDeleted(t.Context(), deleting.Snapshot, patience, ignoreText)
	}
	if err != nil {
		t.Errorf("deleting the one of a deleted cluster: %v", err)
	}
	if all, err := c.ListSnapshots(t.Context(), "phoenix"); err != nil || len(all) != 1 {
		t.Errorf("left: %+v, %v", all, err)
	}
}
