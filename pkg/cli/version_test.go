package cli

import (
	"encoding/json"
	"strings"
	"testing"

	build "github.com/sky-shift/skyctl/pkg/version"
)

func TestVersionNoteSaysWhatToDo(t *testing.T) {
	for _, tt := range []struct{ own, other, says string }{
		{"v1.2.0", "v1.2.0", ""},
		{"v1.2.0", "", ""},
		{"v1.2.0", "v1.3.0", "older than S, which is skyd v1.3.0: install skyctl v1.3.0"},
		{"v1.3.0", "v1.2.0", "newer than S, which is skyd v1.2.0: R"},
		{"v0.0.0-20260102030405-0123456789ab", "v1.2.0", "older than S"},
		{"v1.3.0-5-gabcdef0", "v1.3.0", "use the same version of both; R"},
		{"d9e060a", "d9e060b-dirty", "use the same version of both; R"},
	} {
		got := formatVersionNote(tt.own, versionSkew{version: tt.other, where: "S", remedy: "R"})
		if (got == "") != (tt.says == "") || !strings.Contains(got, tt.says) {
			t.Errorf("%s and %s: %q", tt.own, tt.other, got)
		}
	}
}

func TestVersionShowsTheRunningServer(t *testing.T) {
	t.Setenv("TEST_SKYD_VERSION", "v0.0.1")
	p := newLocalUser(t)
	if got := p.run("version"); got.code != 0 || !strings.HasSuffix(got.out, "\nskyd   not running\n") {
		t.Errorf("without a server: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	for range 2 {
		if got := p.run("version"); got.code != 0 || !strings.Contains(got.out, "\nskyd   v0.0.1, process ") ||
			!strings.Contains(got.err, "is skyd v0.0.1") || !strings.Contains(got.err, restartServerCommand) {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	}
	var r versionReport
	got := p.run("version", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.err != "" || len(r.Servers) != 1 ||
		r.Servers[0].Version != "v0.0.1" || r.Servers[0].PID == 0 || r.Client != build.ReadBuild() {
		t.Errorf("exit %d: %s%s, %v", got.code, got.out, got.err, err)
	}
	if got := p.run("version", "--client"); got.code != 0 || strings.Contains(got.out, "skyd ") || got.err != "" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestVersionShowsTheWorkersOfATeam(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	if got := p.run("version"); got.code != 0 || !strings.Contains(got.out, "\nskyd   (version unknown) on ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	p.env["SKYCTL_TEMPORAL_ADDRESS"] = "127.0.0.1:1"
	if got := p.run("version"); got.code != ExitUnreachable || !strings.HasPrefix(got.out, "skyctl ") ||
		!strings.Contains(got.err, "Temporal at 127.0.0.1:1") {
		t.Errorf("without Temporal: exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestDifferenceOfVersionsIsSaidOncePerStart(t *testing.T) {
	t.Setenv("TEST_SKYD_VERSION", "v0.0.1")
	p := newLocalUser(t)
	const says = "is skyd v0.0.1"
	if got := p.run("get", "clusters", "-o", "json"); got.code != 0 || strings.Contains(got.err, says) {
		t.Errorf("for a program: exit %d: %s", got.code, got.err)
	}
	if got := p.run("get", "clusters"); got.code != 0 || strings.Count(got.err, says) != 1 {
		t.Errorf("first: exit %d: %s", got.code, got.err)
	}
	for _, args := range [][]string{{"get", "clusters"}, {"get", "events"}} {
		if got := p.run(args...); got.code != 0 || strings.Contains(got.err, says) {
			t.Errorf("%v again: exit %d: %s", args, got.code, got.err)
		}
	}
	if got := p.run("server", "status"); !strings.Contains(got.err, says) {
		t.Errorf("status: %s", got.err)
	}
	if got := p.run("server", "restart"); !strings.Contains(got.err, says) ||
		!strings.Contains(got.err, "in place of") {
		t.Errorf("restart: %s", got.err)
	}
	if got := p.run("get", "clusters"); got.code != 0 || strings.Count(got.err, says) != 1 {
		t.Errorf("after another start: exit %d: %s", got.code, got.err)
	}
}
