package render

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

// newChangingCluster is a cluster of which one machine leaves while two of a new pool are added.
func newChangingCluster() *api.Cluster {
	c := fixture.NewReadyCluster()
	if err := c.CreatePool(api.Pool{Name: "spot", Replicas: 2, MaxReplicas: 8,
		Labels:  map[string]string{"tier": "train"},
		Machine: api.MachineSpec{CPUs: "8+", UseSpot: true}, Taints: []string{"dedicated=train:NoSchedule"},
		DrainTimeout: api.Duration(5 * time.Minute)}, fixture.TimeAgo(time.Minute)); err != nil {
		panic(err)
	}
	if err := c.DeleteMachine("sky-train-1"); err != nil {
		panic(err)
	}
	c.Metadata.Generation = 3
	place := *c.Status.Placement
	place.InstanceType, place.CPUs, place.MemoryGiB, place.PricePerMachine = "m5.2xlarge", 8, 32, 0.15
	m := api.NewMachine("train", 2, "spot", "h4k2p", place, fixture.TimeAgo(50*time.Second))
	m.SetState(api.MachineLaunching, "launch", fixture.TimeAgo(20*time.Second))
	c.Status.Machines = append(c.Status.Machines, m)
	c.Status.Machines[1].SetState(api.MachineReady, "drain: 3 pods are left", fixture.TimeAgo(10*time.Second))
	c.Status.Pools[0].Attempts = []api.FailedPlacement{{Placement: place, Reason: "Capacity", Message: "none left",
		At: fixture.TimeAgo(30 * time.Second)}}
	c.Status.Operation = &api.OperationStatus{Type: "Converge", Doing: "adding 2, removing 1",
		Since: fixture.TimeAgo(50 * time.Second)}
	return c
}

func TestPoolsAndMachinesOfAChangingCluster(t *testing.T) {
	c := newChangingCluster()
	golden.Compare(t, "pools.txt", NewPoolTable([]api.Cluster{*c}, fixture.Noon).String())
	golden.Compare(t, "machines.txt", NewMachineTable([]api.Cluster{*c}, fixture.Noon).String())
	golden.Compare(t, "describe-changing.txt", ClusterPage{Cluster: c, Now: fixture.Noon}.String())
	golden.Compare(t, "table-changing.txt", NewClusterTable([]api.Cluster{*c}, true, fixture.Noon).String())
	golden.Compare(t, "progress-changing.txt", ProgressHeadline(c, "Scaling cluster", time.Minute)+"\n"+
		strings.Join(ProgressLines(c, fixture.Noon), "\n")+"\n")
}

func TestStatusKeepsItsWordsFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Cluster)
		want   string
	}{
		"under way": {func(*api.Cluster) {}, "READY (adding 2, removing 1)"},
		"paused": {func(c *api.Cluster) {
			c.Status.PausedAt = fixture.Noon
		}, "READY (adding 2, removing 1, paused)"},
		"drifted": {func(c *api.Cluster) {
			c.Status.Drift = []api.Drift{{Reason: api.DriftMachineGone}}
		}, "READY (adding 2, removing 1)"},
		"ended": {func(c *api.Cluster) { c.Status.Operation = nil }, "READY"},
		"ended with drift": {func(c *api.Cluster) {
			c.Status.Operation, c.Status.Drift = nil, []api.Drift{{Reason: api.DriftMachineGone}}
		}, "READY (drifted)"},
		"deleting": {func(c *api.Cluster) { c.Status.Phase = api.PhaseDeleting }, "DELETING"},
	} {
		c := newChangingCluster()
		tt.change(c)
		if got := formatStatus(c); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestProgressSaysWhatAChangeWaitsFor(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Cluster)
		want   []string
	}{
		"no capacity": {func(*api.Cluster) {}, []string{
			"No machine for pool spot from aws us-east-1 us-east-1b m5.2xlarge: Capacity: none left"}},
		"a pause": {func(c *api.Cluster) { c.Status.PausedAt = fixture.Noon }, []string{
			"Repairs are paused, so nothing more is changed. To resume: skyctl resume reconcile train"}},
		"drift": {func(c *api.Cluster) {
			c.Status.Pools = nil
			c.Status.Drift = []api.Drift{{Machine: "sky-train-1", Reason: api.DriftMachineStopped, Message: "m",
				Next: "n"}, {Reason: api.DriftNodeCordoned, Message: "m", Next: "n"}}
		}, []string{"sky-train-1: MachineStopped: m (next: n)"}},
		"nothing": {func(c *api.Cluster) { c.Status.ObservedGeneration = c.Metadata.Generation }, nil},
		"a replacement": {func(c *api.Cluster) {
			c.Status.ObservedGeneration, c.Status.PausedAt = c.Metadata.Generation, fixture.Noon
			c.Status.Machines[2].ReplaceAsked = true
		}, []string{"Repairs are paused, so nothing more is changed. To resume: skyctl resume reconcile train"}},
	} {
		c := newChangingCluster()
		tt.change(c)
		if got := blockedChangeLines(c); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
	}
}

func TestSpecShowsTheGPUStackOfPools(t *testing.T) {
	s := api.NewClusterSpec(api.GroupSpec{Cloud: "aws", NumNodes: 2, Provision: true})
	if err := s.AddPool(api.Pool{Name: "gpu", Machine: api.MachineSpec{Accelerators: "A100:8"}}); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(specLines(s), "\n"); !strings.Contains(text, "operator") {
		t.Errorf("%s", text)
	}
}
