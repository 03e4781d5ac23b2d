package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

// Variables of the stand-in for skyd that these tests use.
const (
	withWorker     = "TEST_SKYD_WORKER"
	belongingsText = "TEST_SKYD_BELONGINGS"
	belongingsRuns = "TEST_SKYD_BELONGINGS_RUNS"
)

// listStandInBelongings is the skyd belongings of the stand-in: it prints what a test wants, and records how it was
// called.
func listStandInBelongings(args []string) int {
	f, err := os.OpenFile(os.Getenv(belongingsRuns), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, strings.Join(args, " "))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(os.Getenv(belongingsText))
	return 0
}

// newRemovingUser returns a user whose skyd has these belongings, and a function that returns how often skyd removed
// them.
func newRemovingUser(t *testing.T, b daemon.Belongings) (*testUser, func() int) {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(t.TempDir(), "runs")
	for name, value := range map[string]string{withWorker: "1", belongingsText: string(text), belongingsRuns: runs} {
		t.Setenv(name, value)
	}
	p := newLocalUser(t)
	p.env["HOME"] = t.TempDir()
	return p, func() int {
		data, err := os.ReadFile(runs)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(data), "--remove")
	}
}

// listFiles returns the names in the user's state directory.
func (p *testUser) listFiles() (names []string) {
	entries, _ := os.ReadDir(p.env[config.EnvDir])
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestUninstallRemovesEverythingButForeignFiles(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{Items: []string{"Docker network skyctl-1"}})
	if got := p.run("get", "clusters"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	mine := filepath.Join(p.env[config.EnvDir], "thesis.tex")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.run("uninstall"); got.code != ExitUsage || !strings.Contains(got.err, "--yes") {
		t.Errorf("without a terminal: exit %d: %s", got.code, got.err)
	}
	listed := p.run("uninstall", "--dry-run")
	for _, says := range []string{"Docker network skyctl-1", filepath.Join(p.env[config.EnvDir], "server"), mine} {
		if !strings.Contains(listed.out, says) {
			t.Errorf("it does not list %s: %s", says, listed.out)
		}
	}
	if before, _, _ := strings.Cut(listed.out, "This stays:"); strings.Contains(before, mine) || removals() != 0 {
		t.Errorf("it would remove a foreign file, or a dry run removes: %s", listed.out)
	}
	got := p.run("uninstall", "--yes")
	if got.code != 0 || removals() != 1 || !slices.Equal(p.listFiles(), []string{"thesis.tex"}) {
		t.Fatalf("exit %d, %d removals, %v: %s%s", got.code, removals(), p.listFiles(), got.out, got.err)
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	if got := p.run("get", "clusters"); got.code != 0 { // a new installation
		t.Errorf("afterwards: exit %d: %s", got.code, got.err)
	}
	if got := p.run("uninstall", "--yes", "--keep-logs"); got.code != 0 ||
		!slices.Equal(p.listFiles(), []string{"skyd.log"}) {
		t.Errorf("with its logs: exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
	if got := p.run("uninstall", "--yes"); got.code != 0 || len(p.listFiles()) > 0 {
		t.Errorf("of the logs: exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
	if _, err := os.Stat(p.env[config.EnvDir]); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestUninstallRefusesWhileMachinesExist(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{Machines: []string{"sky-lost-0"}})
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	refused := func(says string) {
		t.Helper()
		got := p.run("uninstall", "--yes")
		if got.code != ExitConflict || !strings.Contains(got.err, says) || removals() != 0 ||
			!slices.Contains(p.listFiles(), "server") || findSkyd(t, p) == 0 {
			t.Errorf("exit %d, %d removals, %v: %s", got.code, removals(), p.listFiles(), got.err)
		}
	}
	refused("sky-lost-0")
	p.createRecord("kept")
	refused("skyctl delete cluster kept")
}

// createRecord stores a cluster in the etcd of the user's own skyd.
func (p *testUser) createRecord(name string) {
	p.t.Helper()
	cfg, err := config.Load(nil, func(name string) string { return p.env[name] })
	if err != nil {
		p.t.Fatal(err)
	}
	state, err := daemon.FindRunning(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	state.ApplyTo(cfg)
	ops := client.New(cfg, p.environment(nil, nil, nil).Now)
	defer ops.Close()
	s, err := ops.ConnectStore(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	c := fixture.NewReadyCluster()
	c.Metadata.Name = name
	if _, err := s.CreateCluster(p.t.Context(), c); err != nil {
		p.t.Fatal(err)
	}
}

func TestUninstallLooksForMachinesAgainAfterTheAnswer(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{})
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	term := pseudoterminal.Open(t, 200, 40)
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), p.onTerminal(term), []string{"uninstall"}) }()
	eventually.Holds(t, "it asks", func() bool { return strings.Contains(term.Text(), "[y/N]") })
	p.createRecord("meanwhile")
	if _, err := term.Near.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != ExitConflict || removals() != 0 || !slices.Contains(p.listFiles(), "server") {
		t.Errorf("exit %d, %d removals, %v: %s", code, removals(), p.listFiles(), term.Text())
	}
}

func TestUninstallRefusesTheHomeDirectory(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{})
	team := filepath.Join(p.env["HOME"], "team")
	if err := os.Mkdir(team, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{p.env["HOME"], filepath.Dir(p.env["HOME"])} {
		p.env[config.EnvDir] = dir
		got := p.run("uninstall", "--yes", "--force")
		if got.code != ExitConflict || !strings.Contains(got.err, "your home directory") || removals() != 0 {
			t.Errorf("%s: exit %d: %s%s", dir, got.code, got.out, got.err)
		}
	}
	if _, err := os.Stat(team); err != nil {
		t.Error(err)
	}
}

func TestUninstallRefusesIfTheServersDataAreMissing(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{})
	ledger := home.Ledger{Dir: filepath.Join(p.env["HOME"], ".local/state/skyctl")}
	h := api.Home{Installation: "lost-1", Starts: 3}
	home.FindLocation(p.env[config.EnvDir]).RecordIn(&h)
	if err := ledger.WriteHome(h); err != nil {
		t.Fatal(err)
	}
	if got := p.run("uninstall", "--yes"); got.code != ExitUnreachable || removals() != 0 ||
		!strings.Contains(got.err, "installation lost-1 ran on") || !strings.Contains(got.err, "--force") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	got := p.run("uninstall", "--yes", "--force")
	if runs, err := os.ReadFile(os.Getenv(belongingsRuns)); got.code != 0 || err != nil ||
		!strings.Contains(string(runs), "--installation lost-1") {
		t.Errorf("exit %d, runs %s, %v: %s", got.code, runs, err, got.err)
	}
	if left, err := ledger.ReadHome("lost-1"); left != nil || err != nil {
		t.Errorf("the record is there: %v, %v", left, err)
	}
}

func TestUninstallRefusesIfMachinesAreUnknown(t *testing.T) {
	p, removals := newRemovingUser(t, daemon.Belongings{Problem: "no Docker engine answers"})
	dir := filepath.Join(p.env[config.EnvDir], "server")
	if err := errors.Join(os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "temporal.db"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	p.skyd = "/bin/false"
	if got := p.run("uninstall", "--yes"); got.code != ExitUnreachable || !strings.Contains(got.err, "--force") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	script := filepath.Join(t.TempDir(), "skyd") // it lists its belongings, and does not start
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n[ \"$1\" = dev ] && exit 1\nexec %s \"$@\"\n", self),
		0o700); err != nil {
		t.Fatal(err)
	}
	p.skyd = script
	got := p.run("uninstall", "--yes", "--force")
	if got.code != 0 || removals() != 1 || len(p.listFiles()) > 0 ||
		!strings.Contains(got.err, "unknown whether machines exist") || !strings.Contains(got.err, "no Docker engine") {
		t.Errorf("exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
}

func TestUninstallRemovesTheService(t *testing.T) {
	p, s := newServiceUser(t)
	removing, removals := newRemovingUser(t, daemon.Belongings{})
	delete(removing.env, "HOME") // only its variables are used
	if got := p.run("server", "install"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	got := p.run("uninstall", "--yes")
	if got.code != 0 || s.pid() != 0 || removals() != 1 || len(p.listFiles()) > 0 ||
		!strings.Contains(got.err, "systemd user unit") {
		t.Errorf("exit %d, %v: %s%s", got.code, p.listFiles(), got.out, got.err)
	}
	units, err := filepath.Glob(filepath.Join(p.env["HOME"], ".config/systemd/user/*"))
	if err != nil || len(units) > 0 {
		t.Errorf("units are left: %v, %v", units, err)
	}
}

func TestUninstallLeavesSettingsOfOtherPrograms(t *testing.T) {
	p, _ := newRemovingUser(t, daemon.Belongings{})
	file := filepath.Join(p.env[config.EnvDir], "config.yaml")
	if err := os.WriteFile(file, []byte("api_server: {host: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.run("get", "clusters"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	if got := p.run("uninstall", "--yes"); got.code != 0 || !slices.Equal(p.listFiles(), []string{"config.yaml"}) {
		t.Errorf("exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
}

func TestUninstallOfATeamsMemberLeavesTheTeamAlone(t *testing.T) {
	p := newExternalUser(t)
	p.skyd = "/bin/false"
	clusters := filepath.Join(p.env[config.EnvDir], "clusters")
	if err := os.Mkdir(clusters, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := p.run("uninstall", "--yes"); got.code != 0 || len(p.listFiles()) > 0 {
		t.Errorf("exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
	if got := p.run("uninstall", "--yes"); got.code != 0 || !strings.Contains(got.out, "nothing to remove") {
		t.Errorf("again: exit %d: %s", got.code, got.out)
	}
}

func TestUninstallBesideExternalServersKeepsTheSecretsKey(t *testing.T) {
	p := newExternalUser(t)
	dir := p.env[config.EnvDir]
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "clusters"), 0o700),
		os.WriteFile(filepath.Join(dir, "secrets.key"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := p.run("uninstall", "--yes"); got.code != 0 || !slices.Equal(p.listFiles(), []string{"secrets.key"}) ||
		!strings.Contains(got.err, "the secrets key of the team") {
		t.Errorf("exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
	server := filepath.Join(dir, "server") // of a skyd that ran before
	if err := errors.Join(os.Mkdir(server, 0o700),
		os.WriteFile(filepath.Join(server, "temporal.db"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := p.run("uninstall", "--yes", "--force"); got.code != ExitConflict || len(p.listFiles()) != 2 ||
		!strings.Contains(got.err, "without these settings") {
		t.Errorf("beside a server's data: exit %d, %v: %s", got.code, p.listFiles(), got.err)
	}
}

func TestUninstallSaysHowTheProgramsGo(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "ann's")
	list := filepath.Join(prefix, installedFiles)
	files := []string{"bin/skyctl", installedDocs + "/LICENSE", installedFiles}
	for _, name := range files {
		path := filepath.Join(prefix, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(list, []byte(strings.Join(files, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for skyctl, says := range map[string]string{
		prefix + "/bin/skyctl": `ann'\''s' && xargs rm -f <share/skyctl/installed-files`,
		"/usr/bin/skyctl":      "apt remove skyctl",
		"/opt/bin/skyctl":      "as they were installed",
	} {
		if got := describeProgramRemoval(skyctl, "/skyd"); !strings.Contains(got, says) ||
			!strings.HasPrefix(got, "The programs stay: "+skyctl+", /skyd.") {
			t.Errorf("%s: %s", skyctl, got)
		}
	}
	_, remove, _ := strings.Cut(describeProgramRemoval(prefix+"/bin/skyctl", ""), "To remove them: ")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", remove).CombinedOutput()
	for _, name := range append(files, installedDocs, filepath.Dir(installedFiles)) {
		if _, gone := os.Stat(filepath.Join(prefix, name)); err != nil || !errors.Is(gone, os.ErrNotExist) {
			t.Errorf("%s leaves %s: %v %s", remove, name, err, out)
		}
	}
}
