package client

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestServersThatAreTooSmallAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("tiny", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{{Cloud: "docker", Region: "local", CPUs: 2,
			MemoryGiB: 3.25}}}, nil
	}})
	c := newClient(t)
	asked, open := newWantedCluster("small"), newWantedCluster("small")
	asked.Spec.ControlPlane.Machine.CPUs, open.Spec.Region = "1", "tiny"
	for want, cluster := range map[string]*api.Cluster{"cpus": asked, "memory": open} {
		_, err := c.CreateCluster(t.Context(), cluster, CreateOptions{})
		if fields := api.FieldErrorsOf(err); len(fields) != 1 || fields[0].Field != want {
			t.Errorf("%s: got %v", want, err)
		}
	}
	docs := []manifest.Document{newDocument(t, "small", 1, "  control_plane: {machine: {memory: 2}}")}
	_, err := c.PlanApply(t.Context(), docs, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "spec.control_plane.machine.memory") {
		t.Errorf("a file that asks for it: %v", err)
	}
	_, err = c.PlanApply(t.Context(), []manifest.Document{newDocument(t, "tiny", 1)}, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "spec.control_plane.machine.memory") ||
		!strings.Contains(err.Error(), "3.2 GiB") {
		t.Errorf("a file that leaves it to the cloud: %v", err)
	}
	for _, name := range []string{"small", "tiny"} {
		if _, err := world.Store.ReadCluster(t.Context(), name); !isClusterMissing(err) {
			t.Errorf("%s was written: %v", name, err)
		}
	}
}

// The version before created such clusters.
func TestSmallServerOfAnOlderVersionIsResumed(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	old := newWantedCluster("older-small")
	old.Metadata.UID, old.Spec.Region = "u-older-small", "older-small"
	old.Spec.ControlPlane.Machine.CPUs, old.Spec.Pools[0].Machine.CPUs = "1", "1"
	if _, err := world.Store.CreateCluster(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	created, err := c.CreateCluster(t.Context(), old, CreateOptions{})
	if err != nil || !created.Resumed {
		t.Errorf("the same create: %+v, %v", created, err)
	}
	eventually.Holds(t, "READY", func() bool { return phaseOf(t, "older-small") == api.PhaseReady })
	doc := newDocument(t, "older-small", 4, "    machine: {cpus: 1}", "  control_plane: {machine: {cpus: 1}}")
	if p, err := planOne(t, c, doc); err != nil || p.Kind != ApplyChange {
		t.Errorf("a file with more workers: %v: %+v", err, p.Differences)
	}
}
