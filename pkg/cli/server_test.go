package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// newLocalUser returns a user without settings and running servers.
func newLocalUser(t *testing.T) *testUser {
	p := &testUser{t: t, env: map[string]string{config.EnvDir: t.TempDir()}}
	t.Cleanup(func() { p.run("server", "stop") })
	return p
}

func TestFirstCommandStartsTheServerAndReportsItOnce(t *testing.T) {
	p := newLocalUser(t)
	first := p.run("get", "clusters")
	if first.code != 0 || first.out != "NAME    MANAGER    LABELS    RESOURCES    STATUS    AGE\n" ||
		!strings.Contains(first.err, "Started skyd in the background. Web UI: http://127.0.0.1:") {
		t.Fatalf("exit %d: %s%s", first.code, first.out, first.err)
	}
	if second := p.run("get", "clusters"); second.code != 0 || strings.Contains(second.err, "Started") {
		t.Errorf("exit %d: %s", second.code, second.err)
	}
	if status := p.run("server", "status"); status.code != ExitUnreachable || !strings.Contains(status.out, "etcd") ||
		!strings.Contains(status.out, "no worker is listening") {
		t.Errorf("exit %d: %s%s", status.code, status.out, status.err) // the stand-in has no worker
	}
	if again := p.run("server", "start"); again.code != 0 ||
		!strings.HasPrefix(again.out, "The server is already running (process ") {
		t.Errorf("exit %d: %s%s", again.code, again.out, again.err)
	}
	p.run("server", "stop").check(t, 0, "The server is stopped.\n",
		"Stopping server\n✔ Stopping server completed successfully.\n")
	p.run("server", "stop").check(t, 0, "The server is not running.\n", "")
}

func TestCommandsThatNeedNoServerStartNone(t *testing.T) {
	p := newLocalUser(t)
	for _, args := range [][]string{{"version"}, {"version", "-o", "yaml"}, {"help"}, {"completion", "bash"},
		{"get", "--help"}, {"help", "exit-codes"}} {
		if got := p.run(args...); got.code != 0 || got.out == "" || got.err != "" {
			t.Errorf("%v: exit %d, %q", args, got.code, got.err)
		}
	}
	p.run("server", "status").check(t, ExitUnreachable, "The server is not running.\n", "")
	cfg, err := config.Load(nil, func(k string) string { return p.env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.FindRunning(cfg); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("a server was started: %v", err)
	}
	if files, err := os.ReadDir(p.env[config.EnvDir]); err != nil || len(files) > 0 {
		t.Errorf("files were written: %v, %v", files, err)
	}
}

func TestFailedServerStartExitsWithFiveAndTheReason(t *testing.T) {
	p := newLocalUser(t)
	env := p.environment(nil, nil, nil)
	var out, errs lockedbuffer.Buffer
	env.Out, env.Err = &out, &errs
	env.Skyd = func() (string, error) { return "/bin/false", nil }
	if code := Run(t.Context(), env, []string{"get", "clusters"}); code != ExitUnreachable ||
		!strings.Contains(errs.String(), "starting skyd dev") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestExternalServersAreNotStartedOrStopped(t *testing.T) {
	p := newExternalUser(t)
	for _, verb := range []string{"start", "stop"} {
		if got := p.run("server", verb); got.code != ExitUsage ||
			!strings.Contains(got.err, "there is no local server to start or stop") {
			t.Errorf("%s: exit %d: %s", verb, got.code, got.err)
		}
	}
	world.StartWorker(t)
	if got := p.run("server", "status"); got.code != 0 || strings.Count(got.out, "answers") != 3 {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}
