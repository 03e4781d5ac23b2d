package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestAskedSnapshotIsRecorded(t *testing.T) {
	c := fixture.NewReadyCluster()
	s, err := c.NewAskedSnapshot("", fixture.Noon)
	if err != nil || s.Name != api.NewSnapshotName(api.SnapshotAsked, fixture.Noon) || s.ClusterUID != c.Metadata.UID ||
		s.State != api.SnapshotWanted || s.IsAutomatic() || !s.AskedAt.Equal(fixture.Noon) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = c.NewAskedSnapshot("before-migration", fixture.Noon); err != nil || s.Name != "before-migration" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, name := range []string{"stop-it", "Upper", "a/b", "-"} {
		if _, err := c.NewAskedSnapshot(name, fixture.Noon); len(api.FieldErrorsOf(err)) != 1 {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestClustersThatTakeNoSnapshot(t *testing.T) {
	ready := []api.Transition{{Phase: api.PhaseReady}}
	for want, st := range map[string]api.ClusterStatus{
		"being deleted":          {Phase: api.PhaseDeleting},
		"being restored":         {Phase: api.PhaseReady, Restore: &api.RestoreRequest{}},
		"being started":          {Phase: api.PhaseStopped, Restore: &api.RestoreRequest{Reason: api.RestoreStart}},
		"skyctl start cluster x": {Phase: api.PhaseStopped},
		"being created":          {Phase: api.PhaseProvisioning},
		"its create failed":      {Phase: api.PhaseError},
		"its head is lost": {Phase: api.PhaseError, Transitions: ready,
			Failure: &api.Failure{Reason: string(api.DriftHeadLost)}},
	} {
		c := &api.Cluster{Metadata: api.Metadata{Name: "x"}, Status: st}
		_, err := c.NewAskedSnapshot("", fixture.Noon)
		if refused := new(api.RefusedError); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := &api.Cluster{Status: api.ClusterStatus{Phase: api.PhaseError, Transitions: ready}}
	if _, err := c.NewAskedSnapshot("", fixture.Noon); err != nil {
		t.Errorf("of a cluster whose repair failed: %v", err)
	}
}

func TestNeededSnapshotIsNotDeleted(t *testing.T) {
	s := api.Snapshot{Name: "stop-1", Cluster: "x", ClusterUID: "u-1"}
	of := func(uid string, st api.ClusterStatus) *api.Cluster {
		return &api.Cluster{Metadata: api.Metadata{Name: "y", UID: uid}, Status: st}
	}
	stop := &api.StopRequest{Snapshot: "stop-1"}
	restore := &api.RestoreRequest{Snapshot: "stop-1", SnapshotUID: "u-1"}
	for want, c := range map[string]*api.Cluster{
		"is started from it": of("u-1", api.ClusterStatus{Phase: api.PhaseStopped, Stop: stop}),
		"being stopped":      of("u-1", api.ClusterStatus{Phase: api.PhaseReady, Stop: stop}),
		"being restored":     of("u-2", api.ClusterStatus{Phase: api.PhaseProvisioning, Restore: restore}),
	} {
		if err := c.RefuseSnapshotDelete(s); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "cluster y") {
			t.Errorf("%s: %v", want, err)
		}
	}
	for what, c := range map[string]*api.Cluster{
		"another's stop": of("u-2", api.ClusterStatus{Phase: api.PhaseStopped, Stop: stop}),
		"another snapshot": of("u-1", api.ClusterStatus{Phase: api.PhaseStopped,
			Stop: &api.StopRequest{Snapshot: "x"}}),
		"a deleted one": of("u-1", api.ClusterStatus{Phase: api.PhaseDeleting, Stop: stop, Restore: restore}),
		"a READY one":   of("u-1", api.ClusterStatus{Phase: api.PhaseReady}),
	} {
		if err := c.RefuseSnapshotDelete(s); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOnlyKeptSnapshotsAreVerified(t *testing.T) {
	for state, want := range map[api.SnapshotState]string{api.SnapshotKept: "", api.SnapshotTaken: "only on machine",
		api.SnapshotWanted: "not taken", api.SnapshotDeleting: "being deleted", api.SnapshotLost: "nowhere"} {
		err := api.Snapshot{Name: "one", State: state}.RefuseCheck()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", state, err)
		}
	}
}
