package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// putHomeInDoubt puts the world's home in doubt, and returns the adoption requests.
func putHomeInDoubt(t *testing.T) *[]operation.AdoptInput {
	t.Helper()
	doubt := &api.HomeDoubt{Since: fixture.Noon, Findings: []api.HomeFinding{{
		Kind: api.HomeInOtherDirectory, Message: "the state belongs to /home/ann/.skyconf on ann, and this is " +
			"/home/ann/copy",
	}}}
	setDoubt := func(d *api.HomeDoubt) {
		if _, err := world.Store.UpdateHome(context.Background(), func(h *api.Home) error {
			h.Starts, h.Doubt = 3, d
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	setDoubt(doubt)
	t.Cleanup(func() {
		if _, err := world.Store.UpdateHome(context.Background(),
			func(h *api.Home) error { *h = api.Home{}; return nil }); err != nil {
			t.Error(err)
		}
	})
	var asked []operation.AdoptInput
	world.SetBehavior("", skydstub.Behavior{Adopt: func(in operation.AdoptInput) operation.AdoptResult {
		asked = append(asked, in)
		r := operation.AdoptResult{Before: api.Home{Starts: 3, Doubt: doubt}, Findings: doubt.Findings,
			Unreached: []string{"dev"}}
		if in.Confirmed {
			r.After = api.Home{Hostname: "ann", Dir: "/home/ann/copy", Starts: 4}
			setDoubt(nil)
		}
		return r
	}})
	return &asked
}

func TestCommandsThatShowStateReportAHomeInDoubt(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	putHomeInDoubt(t)
	for _, args := range [][]string{{"get", "clusters"}, {"reconcile"}} {
		if got := p.run(args...); got.code != 0 || !strings.Contains(got.err, "belongs to /home/ann/.skyconf") ||
			!strings.Contains(got.err, "skyctl server adopt") {
			t.Errorf("%v: exit %d, %s", args, got.code, got.err)
		}
	}
	if got := p.run("server", "status"); got.code != 0 || !strings.Contains(got.out, "skyctl server adopt") {
		t.Errorf("server status: exit %d, %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "status", "-o", "json"); got.code != 0 ||
		!strings.Contains(got.out, `"kind": "OtherDirectory"`) {
		t.Errorf("server status: exit %d, %s%s", got.code, got.out, got.err)
	}
	got := p.run("create", "cluster", "fresh", "--provision", "--cloud", "docker")
	if got.code != ExitConflict || !strings.Contains(got.err, "skyctl server adopt") {
		t.Errorf("create: exit %d, %s", got.code, got.err)
	}
}

func TestAdoptReportsItsFindingsAndNeedsAYes(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	asked := putHomeInDoubt(t)
	if got := p.run("server", "adopt"); got.code != ExitUsage || !strings.Contains(got.err, "--yes") ||
		len(*asked) != 0 {
		t.Errorf("without a terminal: exit %d, %s, requests %v", got.code, got.err, *asked)
	}
	got := p.run("server", "adopt", "--yes")
	if got.code != 0 || got.out != "/home/ann/copy on ann is the installation's home now (start 4).\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	for _, says := range []string{"belongs to /home/ann/.skyconf on ann", "1 cluster could be reached: dev. Another",
		"skyctl get orphans"} {
		if !strings.Contains(got.err, says) {
			t.Errorf("%q lacks %q", got.err, says)
		}
	}
	if len(*asked) != 2 || (*asked)[0].Confirmed || !(*asked)[1].Confirmed {
		t.Errorf("requests: %v", *asked)
	}
	if got := p.run("get", "clusters"); got.code != 0 || strings.Contains(got.err, "doubt") {
		t.Errorf("after it: exit %d, %q", got.code, got.err)
	}
}
