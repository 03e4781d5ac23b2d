package record

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// restoring is a READY cluster whose restore is requested.
func restoring(t *testing.T) (*Activities, api.Ref) {
	t.Helper()
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster("a", "u1", api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil, time.Now())
	c.Status.SetPhase(api.PhaseReady, "", time.Now())
	c.Status.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: "auto-1", SnapshotUID: "u1",
		Mode: api.RestoreInPlace, Reason: api.RestoreAsked, AskedAt: time.Now()}
	if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return a, c.Ref()
}

// failRestore records that the restore has failed, and returns the last event.
func failRestore(t *testing.T, a *Activities, ref api.Ref) string {
	t.Helper()
	err := a.FailRestore(t.Context(), FailRestoreInput{Cluster: ref, ID: "restore-1",
		Failure: api.Failure{Message: "the quota is reached"}})
	if err != nil {
		t.Fatal(err)
	}
	events, err := a.Store.ListEvents(t.Context(), ref.UID)
	if err != nil || len(events) == 0 {
		t.Fatalf("%v, %v", events, err)
	}
	return events[len(events)-1].Message
}

func TestRestoreThatChangedNothingLeavesTheClusterAsItWas(t *testing.T) {
	a, ref := restoring(t)
	said := failRestore(t, a, ref)
	if got := readStatus(t, a, ref); got.Phase != api.PhaseReady || got.Restore != nil ||
		!strings.Contains(said, "nothing was changed") {
		t.Errorf("%s, %+v: %s", got.Phase, got.Restore, said)
	}
}

func TestRestoreThatFailsAgainStillWaitsForAPerson(t *testing.T) {
	a, ref := restoring(t)
	for _, in := range []MarkRestoringInput{{Saved: "before-restore-1"}, {NotKept: "it is silent", Excluded: true}} {
		in.Cluster, in.ID = ref, "restore-1"
		if err := a.MarkRestoring(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second try fails before it marks the cluster
		said := failRestore(t, a, ref)
		got := readStatus(t, a, ref)
		if got.Phase != api.PhaseError || got.Restore == nil || got.Restore.FailedAt.IsZero() ||
			strings.Contains(said, "nothing was changed") {
			t.Fatalf("%s, %+v: %s", got.Phase, got.Restore, said)
		}
		if r := got.Restore; !r.Changed || r.Saved != "before-restore-1" || r.NotKept != "" {
			t.Errorf("%+v", r)
		}
	}
}
