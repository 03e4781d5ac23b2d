package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

// newSnapshotted returns a READY cluster, and a snapshot of it from which it can be restored.
func newSnapshotted() (*api.Cluster, api.Snapshot) {
	c := fixture.NewReadyCluster()
	c.Status.Artifacts = &api.Artifacts{Version: "v1.35.7+rke2r1"}
	return c, api.Snapshot{Name: "before-migration", Cluster: c.Metadata.Name, ClusterUID: c.Metadata.UID,
		Reason: api.SnapshotAsked, State: api.SnapshotKept, TakenAt: fixture.TimeAgo(time.Hour),
		Versions: api.Versions{RKE2: "v1.35.7+rke2r1"}}
}

func newWish(s api.Snapshot) api.RestoreWish {
	return api.RestoreWish{ID: api.NewRestoreID("11112222-3333"), Snapshot: s, At: fixture.Noon}
}

func TestRestoreIsRecordedOnce(t *testing.T) {
	c, s := newSnapshotted()
	changed, err := c.RequestRestore(newWish(s))
	want := api.RestoreRequest{ID: "restore-11112222", Snapshot: s.Name, SnapshotUID: c.Metadata.UID,
		Mode: api.RestoreInPlace, Reason: api.RestoreAsked, AskedAt: fixture.Noon}
	if err != nil || !changed || *c.Status.Restore != want {
		t.Fatalf("%v, %v, %+v", changed, err, c.Status.Restore)
	}
	again := newWish(s)
	again.ID = "restore-other"
	for _, phase := range []api.Phase{api.PhaseReady, api.PhaseProvisioning} {
		c.Status.Phase = phase
		if changed, err := c.RequestRestore(again); err != nil || changed || *c.Status.Restore != want {
			t.Errorf("%s: %v, %v, %+v", phase, changed, err, c.Status.Restore)
		}
	}
	c.Status.Phase = api.PhaseError // it failed: it goes on under its own id, so that no machine is restored twice
	if changed, err := c.RequestRestore(again); err != nil || !changed || *c.Status.Restore != want {
		t.Errorf("after a failure: %v, %v, %+v", changed, err, c.Status.Restore)
	}
	again.DiscardState = true
	refused := new(api.RefusedError)
	for _, phase := range []api.Phase{api.PhaseReady, api.PhaseError} { // the state is being kept
		c.Status.Phase = phase
		if changed, err := c.RequestRestore(again); changed || !errors.As(err, &refused) ||
			!strings.Contains(err.Error(), "keeps its state first") || c.Status.Restore.DiscardState {
			t.Errorf("%s: %v, %v, %+v", phase, changed, err, c.Status.Restore)
		}
	}
	c.Status.Phase = api.PhaseProvisioning // too late, and there is nothing to give up
	if changed, err := c.RequestRestore(again); changed || err != nil || c.Status.Restore.DiscardState {
		t.Errorf("%v, %v, %+v", changed, err, c.Status.Restore)
	}
}

func TestRestoreAfterAFailedOneKnowsWhatThatChanged(t *testing.T) {
	for name, failed := range map[string]api.RestoreRequest{
		"recorded":              {Changed: true, Saved: "before-restore-1", NotKept: "why", FailedAt: fixture.Noon},
		"by an earlier version": {FailedAt: fixture.Noon},
	} {
		for _, onNew := range []bool{false, true} {
			c, s := newSnapshotted()
			if _, err := c.RequestRestore(newWish(s)); err != nil {
				t.Fatal(err)
			}
			c.Status.Phase = api.PhaseError
			r := c.Status.Restore
			r.Changed, r.Saved, r.NotKept, r.FailedAt = failed.Changed, failed.Saved, failed.NotKept, failed.FailedAt
			w := newWish(s)
			w.ID, w.NewMachines, w.DiscardState = "restore-other", onNew, true
			changed, err := c.RequestRestore(w)
			if r = c.Status.Restore; err != nil || !changed || !r.Changed || r.Saved != failed.Saved ||
				r.NotKept != failed.NotKept || !r.FailedAt.IsZero() || !r.DiscardState || (r.ID == w.ID) != onNew {
				t.Errorf("%s: %v, %v, %+v", name, changed, err, r)
			}
		}
	}
}

func TestRestoreOfALostServerGetsANewServer(t *testing.T) {
	c, s := newSnapshotted()
	head, err := c.Head()
	if err != nil {
		t.Fatal(err)
	}
	if c.LostServer() != "" {
		t.Error("the server of a READY cluster counts as lost")
	}
	c.Status.SetPhase(api.PhaseError, "HeadLost", fixture.Noon)
	c.Status.Failure = &api.Failure{Reason: string(api.DriftHeadLost)}
	w := newWish(s)
	w.LostServer = c.LostServer()
	if changed, err := c.RequestRestore(w); err != nil || !changed || c.Status.Restore.Mode != api.RestoreNewServer ||
		c.Status.Restore.LostServer != head.Incarnation {
		t.Errorf("%v, %v, %+v", changed, err, c.Status.Restore)
	}
	c.Status.Failure.Reason = "Timeout"
	if c.LostServer() != "" {
		t.Error("another failure is taken for a lost server")
	}
}

func TestSnapshotsThatCannotBeRestored(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Snapshot, *api.RestoreWish)
		want   string // in the message; empty: accepted
		isBad  bool   // a *FieldError
	}{
		"kept":   {change: func(*api.Snapshot, *api.RestoreWish) {}},
		"wanted": {func(s *api.Snapshot, _ *api.RestoreWish) { s.State = api.SnapshotWanted }, "not taken yet", false},
		"taken": {func(s *api.Snapshot, _ *api.RestoreWish) { s.State, s.Machine = api.SnapshotTaken, "sky-train-0" },
			"only on machine sky-train-0", false},
		"failed": {func(s *api.Snapshot, _ *api.RestoreWish) { s.State, s.Failure = api.SnapshotFailed, "no room" },
			"no room", false},
		"lost": {func(s *api.Snapshot, _ *api.RestoreWish) {
			s.State = api.SnapshotLost
		}, "nowhere", false},
		"deleting": {func(s *api.Snapshot, _ *api.RestoreWish) {
			s.State = api.SnapshotDeleting
		}, "being deleted", false},
		"of a later version": {func(s *api.Snapshot, _ *api.RestoreWish) { s.State = "Frozen" }, "Frozen", false},
		"damaged": {func(s *api.Snapshot, w *api.RestoreWish) {
			s.Check, w.Force = &api.SnapshotCheck{Result: api.SnapshotDamaged, Message: "12 pods are missing"}, true
		}, "12 pods are missing", false},
		"unknown by its check": {change: func(s *api.Snapshot, _ *api.RestoreWish) {
			s.Check = &api.SnapshotCheck{Result: api.SnapshotUnknown}
		}},
		"newer minor": {func(s *api.Snapshot, _ *api.RestoreWish) { s.Versions.RKE2 = "v1.36.0+rke2r1" },
			"v1.36.0+rke2r1", false},
		"newer minor by Kubernetes": {func(s *api.Snapshot, _ *api.RestoreWish) {
			s.Versions = api.Versions{Kubernetes: "v1.36.2"}
		}, "v1.35.7+rke2r1", false},
		"newer patch":   {change: func(s *api.Snapshot, _ *api.RestoreWish) { s.Versions.RKE2 = "v1.35.9+rke2r1" }},
		"older minor":   {change: func(s *api.Snapshot, _ *api.RestoreWish) { s.Versions.RKE2 = "v1.34.9+rke2r1" }},
		"of no version": {change: func(s *api.Snapshot, _ *api.RestoreWish) { s.Versions = api.Versions{} }},
		"another's": {func(s *api.Snapshot, _ *api.RestoreWish) { s.ClusterUID, s.Cluster = "u-9", "old" },
			"of cluster old", true},
		"a predecessor's": {func(s *api.Snapshot, _ *api.RestoreWish) { s.ClusterUID = "u-9" },
			"an earlier cluster with this name", true},
		"another's by force, in place": {func(s *api.Snapshot, w *api.RestoreWish) {
			s.ClusterUID, s.Cluster, w.Force = "u-9", "old", true
		}, "--new-machines", true},
		"another's that exists": {func(s *api.Snapshot, w *api.RestoreWish) {
			s.ClusterUID, s.Cluster, w.Force, w.NewMachines = "u-9", "old", true, true
			w.Twin = &api.Cluster{Metadata: api.Metadata{Name: "old", UID: "u-9"}}
		}, "cluster old still exists", false},
		"another's by force, on new machines": {change: func(s *api.Snapshot, w *api.RestoreWish) {
			s.ClusterUID, s.Cluster, w.Force, w.NewMachines = "u-9", "old", true, true
		}},
	} {
		c, s := newSnapshotted()
		w := newWish(s)
		tt.change(&s, &w)
		w.Snapshot = s
		changed, err := c.RequestRestore(w)
		field, refused := new(api.FieldError), new(api.RefusedError)
		switch {
		case tt.want == "" && (err != nil || !changed || c.Status.Restore.SnapshotUID != s.ClusterUID):
			t.Errorf("%s: %v, %v", name, changed, err)
		case tt.want != "" && (errors.As(err, &field) != tt.isBad || errors.As(err, &refused) == tt.isBad || changed ||
			!strings.Contains(err.Error(), tt.want) || c.Status.Restore != nil):
			t.Errorf("%s: %v, %v, %+v", name, changed, err, c.Status.Restore)
		}
	}
}

func TestTwinOfARestoredClusterIsFound(t *testing.T) {
	c, _ := newSnapshotted()
	foreign := api.Snapshot{Name: "last", Cluster: "old", ClusterUID: "u-9"}
	named := func(name, uid string) api.Cluster { return api.Cluster{Metadata: api.Metadata{Name: name, UID: uid}} }
	stopped, heir, waiting, restored := named("old", "u-9"), named("heir", "u-2"), named("waiting", "u-3"), *c
	stopped.Status.Phase = api.PhaseStopped
	heir.Status.Restored = &api.RestoreResult{SnapshotUID: "u-9", OtherCluster: true}
	waiting.Status.Restore = &api.RestoreRequest{SnapshotUID: "u-9"}
	restored.Status.Restored = heir.Status.Restored // the same again is no twin of itself
	for want, all := range map[string][]api.Cluster{
		"old": {named("other", "u-5"), stopped}, "heir": {restored, heir}, "waiting": {waiting},
		"": {named("old", "u-10"), restored},
	} {
		got := api.FindTwin(all, c, foreign)
		if got == nil && want != "" || got != nil && got.Metadata.Name != want {
			t.Errorf("want %q, got %+v", want, got)
		}
	}
	own := foreign
	own.ClusterUID = c.Metadata.UID
	if got := api.FindTwin([]api.Cluster{restored, heir}, c, own); got != nil {
		t.Errorf("of its own snapshot: %+v", got)
	}
}

func TestRestoreIsRefusedInOtherPhases(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Cluster)
		want   string // in the message; empty: accepted
	}{
		"deleting": {func(c *api.Cluster) { c.Status.Phase = api.PhaseDeleting }, "being deleted"},
		"deleting, and wanted": {func(c *api.Cluster) {
			c.Status.Phase = api.PhaseDeleting
			c.Status.Restore = &api.RestoreRequest{Snapshot: "before-migration", SnapshotUID: c.Metadata.UID}
		}, "being deleted"},
		"init":     {func(c *api.Cluster) { c.Status.Phase = api.PhaseInit }, "being created"},
		"creating": {func(c *api.Cluster) { c.Status.Phase = api.PhaseProvisioning }, "being created"},
		"restoring from another": {func(c *api.Cluster) {
			c.Status.Phase, c.Status.Restore = api.PhaseProvisioning, &api.RestoreRequest{Snapshot: "auto-1"}
		}, "being restored from snapshot auto-1"},
		"starting": {func(c *api.Cluster) {
			c.Status.Phase = api.PhaseStopped
			c.Status.Restore = &api.RestoreRequest{Snapshot: "stop-1", Reason: api.RestoreStart}
		}, "being started"},
		"stopped":  {func(c *api.Cluster) { c.Status.Phase = api.PhaseStopped }, "skyctl start cluster train"},
		"stopping": {func(c *api.Cluster) { c.Status.Stop = &api.StopRequest{} }, "being stopped"},
		"failed create": {func(c *api.Cluster) { c.Status.Phase, c.Status.Transitions = api.PhaseError, nil },
			"its create failed"},
		"failed repair": {func(c *api.Cluster) { c.Status.Phase = api.PhaseError }, ""},
	} {
		c, s := newSnapshotted()
		tt.change(c)
		before := c.Status.Restore
		changed, err := c.RequestRestore(newWish(s))
		refused := new(api.RefusedError)
		switch {
		case tt.want == "" && (err != nil || !changed):
			t.Errorf("%s: %v, %v", name, changed, err)
		case tt.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) || changed ||
			c.Status.Restore != before):
			t.Errorf("%s: %v, %v", name, changed, err)
		}
	}
	c, s := newSnapshotted()
	c.Status.Phase = api.PhaseStopped
	w := newWish(s)
	w.NewMachines = true
	if changed, err := c.RequestRestore(w); err != nil || !changed {
		t.Errorf("a stopped cluster on new machines: %v, %v", changed, err)
	}
}
