package render

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestDamagedClusterHasNoConditions(t *testing.T) {
	c := &api.Cluster{}
	c.Status.Phase = api.PhaseReady
	c.Status.SetCondition(api.Condition{Type: api.InSync, Status: api.ConditionTrue}, fixture.Noon)
	MarkDamaged(c)
	if in := c.Status.FindCondition(api.InSync); c.Status.Phase != PhaseDamaged || in.Status != api.ConditionUnknown {
		t.Errorf("%s, %+v", c.Status.Phase, in)
	}
}

func TestDescribeShowsDriftRepairsAndEventsOldestFirst(t *testing.T) {
	golden.Compare(t, "describe-drifted.txt",
		ClusterPage{Cluster: fixture.NewDriftedCluster(), Events: fixture.NewEvents(),
			Now: fixture.Noon}.String())
	paused := fixture.NewDriftedCluster()
	paused.Status.PausedAt = fixture.TimeAgo(2 * time.Minute)
	if got := (ClusterPage{Cluster: paused, Now: fixture.Noon}).String(); !strings.Contains(got,
		"paused for 2m00s; to resume: skyctl resume reconcile train") {
		t.Error(got)
	}
	for range 30 {
		paused.Status.Repairs = append([]api.Repair{{ID: "old", At: fixture.TimeAgo(9 * time.Hour)}},
			paused.Status.Repairs...)
	}
	many := append(make([]api.Event, 30), fixture.NewEvents()...)
	got := ClusterPage{Cluster: paused, Events: many, Now: fixture.Noon}.String()
	if n := strings.Count(got, "\n  20"); n > maxRepairsShown+len(paused.Status.Transitions) ||
		!strings.Contains(got, "ForgetNode") || strings.Count(got, "unknown ") > maxEventsShown {
		t.Errorf("too long, or without the latest:\n%s", got)
	}
}

func TestTableShowsAccelerators(t *testing.T) {
	table := NewClusterTable([]api.Cluster{*fixture.NewGPUCluster()}, false, fixture.Noon).String()
	if !strings.Contains(table, "A100: 31.0/32.0") {
		t.Errorf("the table lacks A100: 31.0/32.0:\n%s", table)
	}
	golden.Compare(t, "table-gpu.txt", table)
	golden.Compare(t, "describe-gpu.txt", ClusterPage{Cluster: fixture.NewGPUCluster(), Now: fixture.Noon}.String())
}

func TestDescribeShowsAllFields(t *testing.T) {
	const ui = "http://127.0.0.1:8233/namespaces/skyctl/workflows/cluster%2Fx"
	launching := fixture.NewFreshCluster()
	launching.Status.Machines = []api.Machine{
		fixture.NewMachine("cloud-cluster", 0, api.MachineUp, "start the RKE2 server", 4*time.Second),
		fixture.NewMachine("cloud-cluster", 1, api.MachinePrepared, "wait for the head", 2*time.Second),
	}
	golden.Compare(t, "describe-launching.txt",
		ClusterPage{Cluster: launching, OperationURL: ui, Now: fixture.Noon}.String())
	golden.Compare(t, "describe-ready.txt", ClusterPage{Cluster: fixture.NewReadyCluster(), OperationURL: ui,
		KubeconfigPath: "/home/ada/.skyconf/clusters/train/kubeconfig", Now: fixture.Noon}.String())
	golden.Compare(t, "describe-failed.txt", ClusterPage{Cluster: fixture.NewFailedCluster(),
		Now: fixture.Noon}.String())
}
