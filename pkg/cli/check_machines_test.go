package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestCheckOfAClusterShowsItsMachines(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("looked-at")
	severity := api.FindingWarning
	world.SetBehavior("looked-at", skydstub.Behavior{CheckMachines: func() (operation.CheckMachinesResult, error) {
		return operation.CheckMachinesResult{Machines: []api.MachineCheck{{Machine: "sky-looked-at-0",
			Role: api.RoleHead,
			Findings: []api.Finding{{Check: "Firewall", Severity: severity, Message: "ufw is enabled",
				Fix: "ufw disable"}}}}}, nil
	}})
	p.run("check", "--cluster", "looked-at").checkOutput(t, 0, "Firewall (warning): ufw is enabled: ufw disable", "")
	severity = api.FindingProblem
	p.run("check", "--cluster", "looked-at").checkOutput(t, ExitFailed,
		"1 machine of cluster looked-at needs attention.",
		"")
	p.newReadyCluster("machineless")
	world.SetBehavior("machineless", skydstub.Behavior{CheckMachines: func() (operation.CheckMachinesResult, error) {
		return operation.CheckMachinesResult{}, nil
	}})
	p.run("check", "--cluster", "machineless", "-o", "json").checkOutput(t, 0, `"machines": []`, "")
	got := p.run("check", "--cluster", "looked-at", "-o", "json")
	var r render.MachineReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != ExitFailed || r.OK ||
		len(r.Machines) != 1 || r.Machines[0].Findings[0].Fix != "ufw disable" {
		t.Errorf("%v: exit %d, %q", err, got.code, got.out)
	}
}

func TestCheckOfAClusterReportsFailures(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.run("check", "--cluster", "nobody").checkOutput(t, ExitNotFound, "", "nobody")
	p.run("check", "--cluster", "Bad_Name").checkOutput(t, ExitUsage, "", "Bad_Name")
	p.newReadyCluster("unlooked-at")
	world.SetBehavior("unlooked-at", skydstub.Behavior{CheckMachines: func() (operation.CheckMachinesResult, error) {
		return operation.CheckMachinesResult{}, errors.New("etcd is away")
	}})
	if got := p.run("check", "--cluster", "unlooked-at"); got.code != ExitFailed || !strings.Contains(got.err,
		"etcd is away") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}
