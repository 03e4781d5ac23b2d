package client

import (
	"errors"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// newMixedCluster is a new cluster whose pools differ from its control plane.
func newMixedCluster(name string) *api.Cluster {
	c := newWantedCluster(name)
	c.Spec.Region = name
	c.Spec.Pools = []api.Pool{
		{Name: "web", Replicas: 2, Machine: api.MachineSpec{CPUs: "4+"}, Labels: map[string]string{"tier": "web"},
			MinReplicas: 1, MaxReplicas: 5},
		{Name: "batch", Replicas: 1, Machine: api.MachineSpec{CPUs: "8+"}, Taints: []string{"batch=yes:NoSchedule"}},
	}
	return c
}

func TestCreateOfSeveralPoolsIsPlannedAndStoredWhole(t *testing.T) {
	world.StartWorker(t)
	want := newMixedCluster("mixed")
	want.Metadata.LastApplied, want.Metadata.CreatedByApply = "{}", true
	created, err := newClient(t).CreateCluster(t.Context(), want, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := world.Store.ReadCluster(t.Context(), "mixed")
	if err != nil {
		t.Fatal(err)
	}
	if d := api.CompareClusters(want, stored); len(d) > 0 || stored.Status.NextIndex != 4 ||
		!stored.Metadata.CreatedByApply || stored.Metadata.LastApplied != "{}" || created.Resumed {
		t.Errorf("differences %v, stored %+v", d, stored.Metadata)
	}
	eventually.Holds(t, "READY", func() bool { return phaseOf(t, "mixed") == api.PhaseReady })
}

func TestOlderWorkerIsRefusedAPlanOfSeveralPools(t *testing.T) {
	world.StartWorker(t)
	level := api.ObjectLevel - 1
	world.SetBehavior("aged", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Worker: &operation.WorkerInfo{Level: level}}, nil
	}})
	c := newClient(t)
	want := newMixedCluster("aged")
	_, err := c.PlanCluster(t.Context(), want.Spec, nil)
	if old := new(OldWorkerError); !errors.As(err, &old) {
		t.Errorf("got %v", err)
	}
	level = api.ObjectLevel
	if got, err := c.PlanCluster(t.Context(), want.Spec, nil); err != nil || len(got.Placements) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
