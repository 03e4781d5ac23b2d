package snapshots

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/eventually"
)

// createRestoring records another cluster that is being restored from a snapshot.
func createRestoring(t *testing.T, a *Activities, from api.Ref, name string) {
	t.Helper()
	other, err := a.Store.CreateCluster(t.Context(), api.NewCluster("other", "u-2", api.GroupSpec{NumNodes: 1}, nil,
		time.Now()))
	if err == nil {
		_, err = a.Store.UpdateCluster(t.Context(), other.Ref(), func(c *api.Cluster) error {
			c.Status.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: name, SnapshotUID: from.UID}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotOfAnotherOperationOfTheSameSecondIsNotTaken(t *testing.T) {
	a, in, _ := newKept(t)
	want := WantInput{Ref: Ref{Cluster: in.Cluster, Name: "before-restore-1"}, Reason: api.SnapshotBeforeRestore,
		AskedAt: time.Now()}
	for range 2 { // an answer may be lost
		if err := a.WantSnapshot(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	want.AskedAt = want.AskedAt.Add(time.Millisecond)
	if err := a.WantSnapshot(t.Context(), want); err == nil {
		t.Error("the snapshot of another operation counts as requested")
	}
}

func TestTakenSnapshotSaysWhoseCertificatesItHas(t *testing.T) {
	c := api.NewCluster("heir", "u-2", api.GroupSpec{NumNodes: 1}, nil, time.Now())
	for _, authority := range []string{"u-2", "u-9"} {
		c.Status.AuthorityUID = authority
		var s api.Snapshot
		if setTaken(&s, server{cluster: c, head: &api.Machine{}}, rke2.SnapshotFile{}); s.AuthorityUID != authority {
			t.Errorf("got %q, want %q", s.AuthorityUID, authority)
		}
	}
}

func TestSnapshotThatAnotherClusterIsRestoredFromStays(t *testing.T) {
	a, in, file := newKept(t)
	ref := Ref{Cluster: in.Cluster, Name: in.Name}
	createRestoring(t, a, in.Cluster, in.Name)
	set := func(state api.SnapshotState) {
		if _, err := a.Store.UpdateSnapshot(t.Context(), in.Cluster, in.Name, func(s *api.Snapshot) error {
			s.Reason, s.State = api.SnapshotScheduled, state
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	isKept := func(after string) {
		t.Helper()
		s, err := a.Store.ReadSnapshot(t.Context(), in.Cluster, in.Name)
		if _, lost := os.Stat(file); err != nil || s.State != api.SnapshotKept || lost != nil {
			t.Errorf("after %s: %s, %v, file: %v", after, s.State, err, lost)
		}
	}
	set(api.SnapshotDeleting)
	if err := a.DeleteSnapshot(t.Context(), ref); err != nil {
		t.Error(err)
	}
	isKept("a delete")
	set(api.SnapshotKept)
	if err := a.DeleteClusterSnapshots(t.Context(), in.Cluster); err != nil {
		t.Error(err)
	}
	isKept("the delete of its cluster")
	c := api.NewCluster("prod", in.Cluster.UID, api.GroupSpec{NumNodes: 1}, nil, time.Now())
	c.Spec.Snapshots.Keep = 1
	l := &look{Activities: a, cluster: c, ref: in.Cluster, now: a.Now(), known: []api.Snapshot{
		{Name: in.Name, Reason: api.SnapshotScheduled, State: api.SnapshotKept, TakenAt: a.Now().Add(-time.Hour)},
		{Name: "newer", Reason: api.SnapshotScheduled, State: api.SnapshotKept, TakenAt: a.Now()}}}
	if err := l.markOld(t.Context()); err != nil {
		t.Error(err)
	}
	isKept("a prune")
}

// A copy that waits, or takes hours, holds up neither the snapshot of a stop nor the looks at the snapshots. If its
// cluster is deleted meanwhile, it leaves no file.
func TestCopyHoldsNothingUpAndLeavesNothing(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{Every: api.SnapshotsOff})
	ctx := eventually.Context(t, 10*time.Minute)
	k.Ask("slow")
	k.Check(k.acts.TakeSnapshot(ctx, Ref{k.Ref, "slow"}))
	k.acts.room.Lock()
	copied := make(chan error, 1)
	go func() { copied <- k.acts.CollectSnapshot(ctx, Ref{k.Ref, "slow"}) }()
	eventually.Holds(t, "the copy waits for room", func() bool {
		k.acts.mu.Lock()
		defer k.acts.mu.Unlock()
		return len(k.acts.copies) == 1
	})
	k.Ask("before-stop")
	k.Check(k.acts.TakeSnapshot(ctx, Ref{k.Ref, "before-stop"}))
	found, err := k.acts.AssessSnapshots(ctx, k.Ref)
	k.Check(err)
	if !slices.Contains(found.Collect, "before-stop") {
		t.Errorf("found %+v", found)
	}
	k.Check(k.Store.ForgetSnapshot(ctx, k.Ref, "slow"))
	k.acts.room.Unlock()
	k.Check(<-copied)
	if files := k.KeptFiles(); len(files) > 0 {
		t.Errorf("files without a record: %q", files)
	}
}

func TestFewSnapshotsAreCopiedAtOnce(t *testing.T) {
	a := &Activities{}
	for range copiesAtOnce {
		if _, err := a.acquireCopy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.acquireCopy(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
}

func TestTryThatTakesTooLongHasFailed(t *testing.T) {
	a, in, _ := newKept(t)
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, tt := range []struct {
		ctx  context.Context
		want string
	}{{stopped, ""}, {late, "it was slow"}} {
		a.recordFailure(tt.ctx, Ref{in.Cluster, in.Name}, errors.New("it was slow"))
		if s, err := a.Store.ReadSnapshot(t.Context(), in.Cluster, in.Name); err != nil || s.Failure != tt.want {
			t.Errorf("%v: recorded %q, %v", tt.ctx.Err(), s.Failure, err)
		}
	}
}

func TestSnapshotsOfOneSecondGetDifferentNames(t *testing.T) {
	a, in, _ := newKept(t)
	l := &look{Activities: a, ref: in.Cluster}
	for _, want := range []string{"one-2", "one-3"} {
		s := api.Snapshot{Name: "one", Cluster: in.Cluster.Name, ClusterUID: in.Cluster.UID}
		if err := l.createWithFreeName(t.Context(), &s); err != nil || s.Name != want {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}
