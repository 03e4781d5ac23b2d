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

func TestOverheadMentionsOtherRequestsOfRKE2(t *testing.T) {
	spec := api.NewClusterSpec(api.GroupSpec{NumNodes: 1})
	if got := describeOverhead(spec); got != "1.35 CPUs and 2.1 GiB of the server" {
		t.Errorf("got %s", got)
	}
	spec.RKE2.Config = map[string]api.ConfigValue{requestsKey: {"etcd-cpu=1"}}
	if got := describeOverhead(spec); !strings.HasSuffix(got, ", apart from "+requestsKey) {
		t.Errorf("got %s", got)
	}
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

func TestDescribeShowsTheSettingsOfRKE2(t *testing.T) {
	c := &api.Cluster{Spec: api.ClusterSpec{RKE2: api.RKE2Settings{
		Registries: []api.Registry{{Host: "r.io", CA: "-----BEGIN CERTIFICATE-----"}},
		Config:     map[string]api.ConfigValue{"selinux": {"true"}, "disable": {"a", "b"}},
		Images:     []api.ImageArchive{{Path: "/srv/a.tar"}}}, EnableServiceLB: new(true)}}
	c.Status.Artifacts = &api.Artifacts{Version: "v1.36.3+rke2r1", Ingress: "traefik"}
	page := ClusterPage{Cluster: c, Now: time.Unix(2, 0)}.String()
	for _, want := range []string{"traefik, as v1.36.3+rke2r1 deploys it\n", "r.io (own CA)\n",
		`disable=["a","b"], selinux=true` + "\n", "/srv/a.tar\n", "enabled\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	if strings.Contains(page, "CERTIFICATE") {
		t.Errorf("certificates are printed:\n%s", page)
	}
	if c.Spec.Ingress = "none"; strings.Contains((ClusterPage{Cluster: c, Now: time.Unix(2, 0)}).String(),
		"deploys it") {
		t.Error("the release's choice is shown although another one is wanted")
	}
}
