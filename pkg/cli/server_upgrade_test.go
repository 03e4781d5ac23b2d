package cli

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// installedVersion is the variable with the version that the stand-in for skyd says it has.
const installedVersion = "TEST_SKYD_INSTALLED"

func TestServerIsUpgradedToTheInstalledVersion(t *testing.T) {
	t.Setenv(withWorker, "1")
	p := newLocalUser(t)
	own := build.ReadBuild().Version
	if got := p.run("server", "upgrade"); got.code != 0 || !strings.Contains(got.out, "The server is not running.") ||
		findSkyd(t, p) != 0 {
		t.Errorf("without a server: exit %d: %s%s", got.code, got.out, got.err)
	}
	t.Setenv("TEST_SKYD_VERSION", "v0.0.1")
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	before := findSkyd(t, p)

	t.Setenv(installedVersion, "v0.0.1") // only skyctl was replaced
	if got := p.run("server", "upgrade"); got.code != ExitConflict || findSkyd(t, p) != before ||
		!strings.Contains(got.err, "install the same version of both first") {
		t.Errorf("an old program: exit %d: %s%s", got.code, got.out, got.err)
	}
	t.Setenv(installedVersion, "")
	t.Setenv("TEST_SKYD_VERSION", "")
	got := p.run("server", "upgrade")
	after := findSkyd(t, p)
	if got.code != 0 || after == before || after == 0 ||
		!strings.HasPrefix(got.out, "The server was skyd v0.0.1 and is "+own+" (process ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "upgrade"); got.code != 0 || findSkyd(t, p) != after ||
		!strings.HasPrefix(got.out, "The server already is skyd "+own) {
		t.Errorf("again: exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestServiceRunsTheInstalledSkydAfterAnUpgrade(t *testing.T) {
	t.Setenv(withWorker, "1")
	p, s := newServiceUser(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, version := range []string{"v1", "v2"} {
		path := filepath.Join(t.TempDir(), version)
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	p.skyd = paths[0]
	p.env["SKYCTL_RECONCILE_INTERVAL"] = "7s"
	if got := p.run("server", "install"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	delete(p.env, "SKYCTL_RECONCILE_INTERVAL")
	was := s.pid()
	p.skyd = paths[1]
	got := p.run("server", "upgrade")
	if got.code != 0 || s.pid() == was || findSkyd(t, p) != s.pid() ||
		!strings.HasPrefix(got.out, "The server runs "+paths[1]+" now") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	units, err := filepath.Glob(filepath.Join(p.env["HOME"], ".config/systemd/user/*.service"))
	if err != nil || len(units) != 1 {
		t.Fatalf("units %v, %v", units, err)
	}
	text, err := os.ReadFile(units[0])
	if err != nil || !regexp.MustCompile(`(?m)^ExecStart="`+paths[1]+`" dev$`).Match(text) {
		t.Errorf("the unit is %s, %v", text, err)
	}
	environment, err := os.ReadFile(filepath.Join(p.env[config.EnvDir], "skyd.env"))
	if err != nil || !strings.Contains(string(environment), `SKYCTL_RECONCILE_INTERVAL="7s"`) {
		t.Errorf("the service lost its settings: %s, %v", environment, err)
	}
}

func TestUpgradeToAnOlderVersionIsRefused(t *testing.T) {
	for _, tt := range []struct {
		own, installed, running string
		level                   int
		refused                 string
	}{
		{"v1.3.0", "v1.3.0", "v1.2.0", 1, ""},
		{"v1.3.0", "v1.3.0", "v1.3.0", api.WorkerLevel, ""},
		{"v1.3.0", "v1.3.0", "", 0, ""},
		{"v1.3.0", "v1.3.0", "v1.3.0-4-g0123456", api.WorkerLevel, ""},
		{"v1.3.0", "v1.2.0", "v1.2.0", 1, "install the same version of both first"},
		{"v1.2.0", "v1.2.0", "v1.3.0", api.WorkerLevel, "the older v1.2.0"},
		{"v1.2.0", "v1.2.0", "dev", api.WorkerLevel + 1, "the older v1.2.0"},
	} {
		u := serverUpgrade{version: tt.own, before: daemon.State{PID: 7, Version: tt.running, Level: tt.level}}
		err := u.check(tt.installed)
		var refused *stateError
		if errors.As(err, &refused) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
