package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestEachMachineHasALineWithItsStepAndDuration(t *testing.T) {
	c := fixture.NewFreshCluster()
	c.Status.Machines = []api.Machine{
		fixture.NewMachine("cloud-cluster", 0, api.MachineUp, "start the RKE2 server", 75*time.Second),
		fixture.NewMachine("cloud-cluster", 1, api.MachineReady, "", time.Second),
	}
	got := strings.Join(ProgressLines(c, fixture.Noon), "\n")
	want := "sky-cloud-cluster-0  head    Up     start the RKE2 server  1m15s\n" +
		"sky-cloud-cluster-1  worker  Ready"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := ProgressHeadline(c, "Provisioning cluster",
		90*time.Second), "Provisioning cluster cloud-cluster: 1 of 3 machines ready, 46 %, 1m30s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestManyMachinesShareLines(t *testing.T) {
	c := fixture.NewFreshCluster()
	for i := range 200 {
		state, step := api.MachineUp, "prepare"
		switch {
		case i == 0:
			state, step = api.MachineReady, ""
		case i > 150:
			state, step = api.MachineLaunching, "wait for SSH"
		}
		c.Status.Machines = append(c.Status.Machines,
			fixture.NewMachine("big", i, state, step, time.Duration(i)*time.Second))
	}
	got := ProgressLines(c, fixture.Noon)
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
	c := fixture.NewFreshCluster()
	for i := range 100 {
		c.Status.Machines = append(c.Status.Machines,
			fixture.NewMachine("big", i, api.MachineUp, fmt.Sprintf("step %02d", i), time.Second))
	}
	got := ProgressLines(c, fixture.Noon)
	if len(got) != maxMachineLines || got[maxMachineLines-1] != "89 more" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}

func TestProgressLogShowsOnlyChanges(t *testing.T) {
	before, after := fixture.NewFreshCluster(), fixture.NewFreshCluster()
	before.Status.Phase = api.PhaseInit
	before.Status.Machines = []api.Machine{fixture.NewMachine("c", 0, api.MachineUp, "prepare", 0),
		fixture.NewMachine("c", 1, api.MachineUp, "prepare", 0)}
	after.Status.Machines = []api.Machine{fixture.NewMachine("c", 0, api.MachineUp, "prepare", 0),
		fixture.NewMachine("c", 1, api.MachinePrepared, "wait for the head", 0)}
	for i := 2; i < 8; i++ {
		after.Status.Machines = append(after.Status.Machines,
			fixture.NewMachine("c", i, api.MachineLaunching, "launch", 0))
	}
	after.Status.Attempts = []api.FailedPlacement{{Placement: api.Placement{Cloud: "aws", Region: "us-east-1"},
		Reason: "Capacity", Message: "none left"}}
	got := ChangeLines(before, after)
	want := []string{
		"cloud-cluster is PROVISIONING",
		"no machines from aws us-east-1: Capacity: none left",
		"sky-c-1 Prepared: wait for the head",
		"sky-c-2 … sky-c-7 (6 machines) Launching: launch",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if again := ChangeLines(after, after); again != nil {
		t.Errorf("nothing changed, yet: %q", again)
	}
}

func TestBlockedDeleteShowsItsCauseAndPurge(t *testing.T) {
	before, machines, release := fixture.NewFreshCluster(), fixture.NewFreshCluster(), fixture.NewFreshCluster()
	for _, c := range []*api.Cluster{before, machines, release} {
		c.Status.Phase = api.PhaseDeleting
		c.Status.Failure = &api.Failure{Step: "install RKE2", Message: "of a create"}
	}
	machines.Status.Machines = []api.Machine{fixture.NewMachine("cloud-cluster", 0, api.MachineTerminating,
		"terminating",
		0)}
	machines.Status.Machines[0].SetTrouble("terminate", "aws does not answer")
	release.Status.Failure = &api.Failure{Step: api.StepRelease, Message: "aws does not answer"}
	if got := ProgressLines(before, fixture.Noon); len(got) > 0 {
		t.Errorf("got %q without a blocker", got)
	}
	const way = "skyctl delete cluster cloud-cluster --purge"
	for name, c := range map[string]*api.Cluster{"a machine": machines, "the rest": release} {
		for as, lines := range map[string][]string{
			"a block": ProgressLines(c, fixture.Noon), "a log": ChangeLines(before, c),
			"a description": {ClusterPage{Cluster: c, Now: fixture.Noon}.String()},
		} {
			all := strings.Join(lines, "\n")
			if !strings.Contains(all, "aws does not answer") || !strings.Contains(all, way) {
				t.Errorf("%s as %s:\n%s", name, as, all)
			}
		}
		if again := ChangeLines(c, c); again != nil {
			t.Errorf("nothing changed, yet: %q", again)
		}
	}
}

func TestBlockedCreateShowsItsCause(t *testing.T) {
	before, after := fixture.NewFreshCluster(), fixture.NewFreshCluster()
	after.Status.Phase, after.Status.Machines = before.Status.Phase, before.Status.Machines
	after.Status.SetCondition(api.Condition{Type: api.CreateBegun, Status: api.ConditionFalse,
		Reason:  "SourceUnreachable",
		Message: "choose the RKE2 release: fetching https://example: no such host"}, time.Now())
	want := "choose the RKE2 release: fetching https://example: no such host (retried within 20s)"
	if got := ChangeLines(before, after); !slices.Equal(got, []string{want}) {
		t.Errorf("a log shows %q", got)
	}
	if again := ChangeLines(after, after); again != nil {
		t.Errorf("nothing changed, yet: %q", again)
	}
	after.Status.Machines = nil
	if got := ProgressLines(after, time.Now()); !slices.Equal(got, []string{want}) {
		t.Errorf("a terminal shows %q", got)
	}
	d := ClusterPage{Cluster: after, Now: time.Now()}
	if got := d.String(); !strings.Contains(got, "CreateBegun") || !strings.Contains(got, "no such host") {
		t.Errorf("describe shows\n%s", got)
	}
}
