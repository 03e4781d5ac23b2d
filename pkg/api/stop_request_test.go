package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestStopIsRecordedOnce(t *testing.T) {
	c := fixture.NewReadyCluster()
	if changed, err := c.RequestStop(fixture.Noon); err != nil || !changed ||
		!c.Status.Stop.AskedAt.Equal(fixture.Noon) || c.Status.Phase != api.PhaseReady {
		t.Fatalf("%v, %v, %+v", changed, err, c.Status.Stop)
	}
	for _, phase := range []api.Phase{api.PhaseReady, api.PhaseError, api.PhaseStopped} {
		c.Status.SetPhase(phase, "", fixture.Noon)
		if changed, err := c.RequestStop(fixture.Noon.AddDate(0, 0, 1)); err != nil || changed ||
			!c.Status.Stop.AskedAt.Equal(fixture.Noon) {
			t.Errorf("%s: %v, %v, %+v", phase, changed, err, c.Status.Stop)
		}
	}
}

func TestStartIsRecordedOnce(t *testing.T) {
	c := fixture.NewReadyCluster()
	if changed, err := c.RequestStart("restore-1", fixture.Noon); err != nil || changed || c.Status.Restore != nil {
		t.Errorf("READY: %v, %v", changed, err)
	}
	c.Status.Phase, c.Status.Stop = api.PhaseStopped, &api.StopRequest{Snapshot: "stop-1"}
	want := api.RestoreRequest{ID: "restore-1", Snapshot: "stop-1", SnapshotUID: c.Metadata.UID,
		Mode: api.RestoreNewMachines, Reason: api.RestoreStart, AskedAt: fixture.Noon}
	for _, tt := range []struct {
		phase   api.Phase
		changed bool
	}{
		{api.PhaseStopped, true}, {api.PhaseStopped, false}, {api.PhaseProvisioning, false},
		{api.PhaseError, true}, // it failed, and goes on
	} {
		c.Status.Phase = tt.phase
		changed, err := c.RequestStart("restore-1", fixture.Noon)
		if err != nil || changed != tt.changed || *c.Status.Restore != want {
			t.Errorf("%s: %v, %v, %+v", tt.phase, changed, err, c.Status.Restore)
		}
	}
}

func TestStopAndStartAreRefusedInOtherPhases(t *testing.T) {
	stop := func(c *api.Cluster) (bool, error) { return c.RequestStop(fixture.Noon) }
	start := func(c *api.Cluster) (bool, error) { return c.RequestStart("restore-1", fixture.Noon) }
	wasReady := []api.Transition{{Phase: api.PhaseReady}, {Phase: api.PhaseError}}
	asked := &api.RestoreRequest{Snapshot: "auto-1", Reason: api.RestoreAsked}
	for _, tt := range []struct {
		name    string
		request func(*api.Cluster) (bool, error)
		status  api.ClusterStatus
		want    string
	}{
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseDeleting}, "being deleted"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseInit}, "being created"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseProvisioning}, "being created"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseReady, Restore: asked}, "being restored from snapshot auto-1"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseProvisioning, Restore: asked}, "being restored"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseStopped,
			Restore: &api.RestoreRequest{Reason: api.RestoreStart}}, "being started"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseError}, "its create failed"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseError, Transitions: wasReady,
			Failure: &api.Failure{Reason: string(api.DriftHeadLost)}}, "its head is lost"},
		{"stop", stop, api.ClusterStatus{Phase: api.PhaseError, Transitions: wasReady,
			Restore: &api.RestoreRequest{Snapshot: "auto-1", Mode: api.RestoreNewMachines, FailedAt: fixture.Noon},
			Stop:    &api.StopRequest{Snapshot: "stop-1"}}, "train --snapshot auto-1 --new-machines"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseDeleting,
			Restore: &api.RestoreRequest{Reason: api.RestoreStart}}, "being deleted"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseInit}, "being created"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseProvisioning, Restore: asked}, "being restored"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseReady, Stop: &api.StopRequest{}}, "being stopped"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseError}, "was not stopped"},
		{"start", start, api.ClusterStatus{Phase: api.PhaseStopped, Stop: &api.StopRequest{}},
			"does not say from which snapshot"},
	} {
		c := &api.Cluster{Metadata: api.Metadata{Name: "train"}, Status: tt.status}
		before := c.Status
		changed, err := tt.request(c)
		refused := new(api.RefusedError)
		if !errors.As(err, &refused) || changed || !strings.Contains(err.Error(), tt.want) ||
			c.Status.Restore != before.Restore || c.Status.Stop != before.Stop {
			t.Errorf("%s of a cluster that is %s: %v, %v", tt.name, tt.status.Phase, changed, err)
		}
	}
}
