package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestEachMachineHasALineWithItsStepAndHowLong(t *testing.T) {
	c := newFreshCluster()
	c.Status.Machines = []api.Machine{
		newTestMachine("cloud-cluster", 0, api.MachineUp, "start the RKE2 server", 75*time.Second),
		newTestMachine("cloud-cluster", 1, api.MachineReady, "", time.Second),
	}
	got := strings.Join(progressLines(c, noon), "\n")
	want := "sky-cloud-cluster-0  head    Up     start the RKE2 server  1m15s\n" +
		"sky-cloud-cluster-1  worker  Ready"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := progressHeadline(c, "Provisioning cluster",
		90*time.Second), "Provisioning cluster cloud-cluster: 1 of 3 machines ready, 1m30s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestManyMachinesShareLines(t *testing.T) {
	c := newFreshCluster()
	for i := range 200 {
		state, step := api.MachineUp, "prepare"
		switch {
		case i == 0:
			state, step = api.MachineReady, ""
		case i > 150:
			state, step = api.MachineLaunching, "wait for SSH"
		}
		c.Status.Machines = append(c.Status.Machines,
			newTestMachine("big", i, state, step, time.Duration(i)*time.Second))
	}
	got := progressLines(c, noon)
	want := []string{
		"1 head       Ready",
		"150 workers  Up         prepare       up to 2m30s",
		"49 workers   Launching  wait for SSH  up to 3m19s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestManyDifferentStepsStillFit(t *testing.T) {
	c := newFreshCluster()
	for i := range 100 {
		c.Status.Machines = append(c.Status.Machines,
			newTestMachine("big", i, api.MachineUp, fmt.Sprintf("step %02d", i), time.Second))
	}
	got := progressLines(c, noon)
	if len(got) != maxMachineLines || got[maxMachineLines-1] != "89 more" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}

func TestALogShowsOnlyWhatChanged(t *testing.T) {
	before, after := newFreshCluster(), newFreshCluster()
	before.Status.Phase = api.PhaseInit
	before.Status.Machines = []api.Machine{newTestMachine("c", 0, api.MachineUp, "prepare", 0),
		newTestMachine("c", 1, api.MachineUp, "prepare", 0)}
	after.Status.Machines = []api.Machine{newTestMachine("c", 0, api.MachineUp, "prepare", 0),
		newTestMachine("c", 1, api.MachinePrepared, "wait for the head", 0)}
	for i := 2; i < 8; i++ {
		after.Status.Machines = append(after.Status.Machines, newTestMachine("c", i, api.MachineLaunching, "launch", 0))
	}
	after.Status.Attempts = []api.FailedPlacement{{Placement: api.Placement{Cloud: "aws", Region: "us-east-1"},
		Reason: "Capacity", Message: "none left"}}
	got := changeLines(before, after)
	want := []string{
		"cloud-cluster is PROVISIONING",
		"aws us-east-1 could not give the machines: Capacity: none left",
		"sky-c-1 Prepared: wait for the head",
		"sky-c-2 … sky-c-7 (6 machines) Launching: launch",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if again := changeLines(after, after); again != nil {
		t.Errorf("nothing changed, yet: %q", again)
	}
}

func TestADeleteThatIsHeldUpSaysByWhatAndHowToEndWithoutIt(t *testing.T) {
	before, machines, release := newFreshCluster(), newFreshCluster(), newFreshCluster()
	for _, c := range []*api.Cluster{before, machines, release} {
		c.Status.Phase = api.PhaseDeleting
		c.Status.Failure = &api.Failure{Step: "install RKE2", Message: "of a create"}
	}
	machines.Status.Machines = []api.Machine{newTestMachine("cloud-cluster", 0, api.MachineTerminating, "terminating",
		0)}
	machines.Status.Machines[0].SetTrouble("terminate", "aws does not answer")
	release.Status.Failure = &api.Failure{Step: api.StepRelease, Message: "aws does not answer"}
	if got := progressLines(before, noon); len(got) > 0 {
		t.Errorf("nothing holds it up, yet: %q", got)
	}
	const way = "skyctl delete cluster cloud-cluster --purge"
	for name, c := range map[string]*api.Cluster{"a machine": machines, "the rest": release} {
		for as, lines := range map[string][]string{
			"a block": progressLines(c, noon), "a log": changeLines(before, c),
			"a description": {clusterDescription{cluster: c, now: noon}.String()},
		} {
			all := strings.Join(lines, "\n")
			if !strings.Contains(all, "aws does not answer") || !strings.Contains(all, way) {
				t.Errorf("%s as %s:\n%s", name, as, all)
			}
		}
		if again := changeLines(c, c); again != nil {
			t.Errorf("nothing changed, yet: %q", again)
		}
	}
}

func TestWhatHoldsACreateUpIsShown(t *testing.T) {
	before, after := newFreshCluster(), newFreshCluster()
	after.Status.Phase, after.Status.Machines = before.Status.Phase, before.Status.Machines
	after.Status.SetCondition(api.Condition{Type: api.CreateBegun, Status: api.ConditionFalse,
		Reason:  "SourceUnreachable",
		Message: "choose the RKE2 release: fetching https://example: no such host"}, time.Now())
	want := "choose the RKE2 release: fetching https://example: no such host (tried again after at most 20s)"
	if got := changeLines(before, after); !slices.Equal(got, []string{want}) {
		t.Errorf("a log shows %q", got)
	}
	if again := changeLines(after, after); again != nil {
		t.Errorf("nothing changed, yet: %q", again)
	}
	after.Status.Machines = nil
	if got := progressLines(after, time.Now()); !slices.Equal(got, []string{want}) {
		t.Errorf("a terminal shows %q", got)
	}
	d := clusterDescription{cluster: after, now: time.Now()}
	if got := d.String(); !strings.Contains(got, "CreateBegun") || !strings.Contains(got, "no such host") {
		t.Errorf("describe shows\n%s", got)
	}
}

func TestNumbersAndTimesReadAsPeopleWriteThem(t *testing.T) {
	for v, want := range map[float64]string{4: "4.0", 2.01: "2.01", 12.666: "12.67", 0.1: "0.1", 31.999: "32.0",
		0: "0.0"} {
		if got := formatNumber(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 10 * time.Second: "10s", 297 * time.Second: "4m",
		3 * time.Hour: "3h", 50 * time.Hour: "2d"} {
		if got := formatAge(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{42 * time.Second: "42s", 187 * time.Second: "3m07s",
		62 * time.Minute: "1h02m"} {
		if got := formatDuration(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestACommandThatIsShownAgainMakesTheSameCluster(t *testing.T) {
	c := newReadyCluster()
	c.Status.KeepOnFailure = true
	want := "skyctl create cluster train --provision --cpus 32+ --memory 128+ --disk_size 200 --accelerators A100:8 " +
		"--ports 80,30000-30100 --num_nodes 2 --labels app=ranking,team=search --keep-on-failure"
	if got := createCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.Spec.KubernetesVersion, c.Spec.RKE2 = "v1.35.7+rke2r1", api.RKE2Release{Source: "/my kit", SHA256: "ab"}
	c.Spec.GPU.ChartRepo = "https://charts"
	want = "SKYCTL_RKE2_SOURCE='/my kit' SKYCTL_RKE2_SHA256=ab SKYCTL_GPU_CHART_REPO=https://charts " +
		strings.Replace(want, " --labels", " --kubernetes_version v1.35.7+rke2r1 --labels", 1)
	if got := createCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c = newFreshCluster()
	c.Spec.Zone, c.Spec.UseSpot, c.Spec.MaxHourlyCost = "us-east-1a", true, 0.5
	c.Spec.ImageID, c.Spec.APICIDR = "ami-1", "10.0.0.0/8"
	c.Spec.APIAccess = "public"
	want = "skyctl create cluster cloud-cluster --provision --cloud docker --zone us-east-1a --cpus 2+ --use_spot " +
		"--max_hourly_cost 0.5 " +
		"--image_id ami-1 --api_cidr 10.0.0.0/8 --api_access public --num_nodes 3"
	if got := createCommandLine(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
