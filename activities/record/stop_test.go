package record

import (
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// stopping is a cluster that is to be stopped, and the snapshot of its stop.
func stopping(t *testing.T, state api.SnapshotState) (*Activities, MarkStoppedInput) {
	t.Helper()
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name()+string(state), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster("a", "u1", api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil, time.Now())
	c.Status.SetPhase(api.PhaseReady, "", time.Now())
	if _, err := c.RequestStop(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	err := a.Store.CreateSnapshot(t.Context(), api.Snapshot{Name: "stop-1", Cluster: "a", ClusterUID: "u1",
		Reason: api.SnapshotBeforeStop, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return a, MarkStoppedInput{Cluster: c.Ref(), AskedAt: c.Status.Stop.AskedAt, Snapshot: "stop-1"}
}

func updateStatus(t *testing.T, a *Activities, ref api.Ref, change func(*api.ClusterStatus)) {
	t.Helper()
	_, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		change(&c.Status)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readStatus(t *testing.T, a *Activities, ref api.Ref) api.ClusterStatus {
	t.Helper()
	c, err := activities.ReadCluster(t.Context(), a.Store, ref)
	if err != nil {
		t.Fatal(err)
	}
	return c.Status
}

func TestClusterIsStoppedOnlyWithAKeptSnapshot(t *testing.T) {
	a, in := stopping(t, api.SnapshotDeleting)
	var refused *temporal.ApplicationError
	if err := a.MarkStopped(t.Context(), in); !errors.As(err, &refused) || !refused.NonRetryable() {
		t.Errorf("with a snapshot that is being deleted: %v", err)
	}
	if got := readStatus(t, a, in.Cluster); got.Phase != api.PhaseReady || got.Stop.Snapshot != "" {
		t.Errorf("%s, %+v", got.Phase, got.Stop)
	}
	a, in = stopping(t, api.SnapshotKept)
	for range 2 { // an answer may be lost
		if err := a.MarkStopped(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if got := readStatus(t, a, in.Cluster); got.Phase != api.PhaseStopped || got.Stop.Snapshot != "stop-1" {
		t.Errorf("%s, %+v", got.Phase, got.Stop)
	}
}

func TestRestoreThatIsRequestedDuringAStopGoesFirst(t *testing.T) {
	a, in := stopping(t, api.SnapshotKept)
	updateStatus(t, a, in.Cluster, func(st *api.ClusterStatus) {
		st.SetPhase(api.PhaseError, "", time.Now())
		st.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: "auto-1"}
	})
	var refused *temporal.ApplicationError
	if err := a.MarkStopped(t.Context(), in); !errors.As(err, &refused) ||
		refused.Type() != activities.ReasonStillWanted {
		t.Errorf("got %v", err)
	}
	if got := readStatus(t, a, in.Cluster); got.Phase != api.PhaseError {
		t.Errorf("%s", got.Phase)
	}
}
