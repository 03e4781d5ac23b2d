package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/mod/semver"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/distribution"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/process"
)

// distVariable names a real release. Without it, the test makes one of the built programs and the kit, and another one
// of an older version.
const distVariable = "SKYCTL_TEST_DIST"

// formerVariable names a directory with skyctl and skyd of the version before, which release/build_former.sh builds.
// Without it, that version is the same programs with another version in them.
const formerVariable = "SKYCTL_TEST_FORMER"

// TestReleaseIsInstalledUpgradedAndRemoved does what a person without Go and make does, on a computer that has a Docker
// engine: installs a release, creates a cluster, upgrades, and removes everything again.
func TestReleaseIsInstalledUpgradedAndRemoved(t *testing.T) {
	t.Parallel()
	i := prepare(t)
	release := newRelease(t, i)
	p := newNewcomer(t, i)
	if out := p.sh("command -v go make skyctl || true"); out != "" {
		t.Fatalf("the computer has %s", out)
	}
	files, olderFiles := serveFiles(t, release.dir), serveFiles(t, release.olderDir)
	script, err := filepath.Abs("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	install := func(from, version string) string {
		return p.sh("sh " + script + " --from " + from + " --version " + version)
	}
	first, from := release.version, files
	if release.older != "" {
		first, from = release.older, olderFiles
	}
	p.checkSaid(install(from, first), "Installed skyctl v"+first+" in "+p.home+"/.local/bin.")
	p.useKit(files + "/" + distribution.KitName(release.version))

	name := p.name
	p.sh("skyctl create cluster " + name + " --provision --cloud docker --cpus 2+ --memory 4 --num_nodes 1 --wait")
	i.kubectl(name, "run", "hello", "--image", kitImage, "--image-pull-policy", "Never")
	i.kubectl(name, "wait", "--for=condition=Ready", within(podPatience), "pod/hello")
	before := p.cluster(name)

	if release.older != "" {
		out := install(files, release.version)
		p.checkSaid(out, "Replaced skyctl v"+first+" by v"+release.version, "Note: this skyctl is v"+release.version,
			"skyctl server restart")
		p.checkSaid(p.sh("skyctl server upgrade"), "The server was skyd v"+first+" and is v"+release.version)
		if after := p.cluster(name); after.Status.Phase != api.PhaseReady ||
			after.Status.Machines[0].Incarnation != before.Status.Machines[0].Incarnation {
			t.Errorf("after the upgrade the cluster is %s, on %+v", after.Status.Phase, after.Status.Machines)
		}
		i.kubectl(name, "get", "pod", "hello")
	}
	p.sh("skyctl delete cluster " + name + " --yes --wait")
	p.removeEverything()
}

func serveFiles(t *testing.T, dir string) string {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

// testRelease is a directory with a release.
type testRelease struct {
	dir, version string
	// older is an older version, in a directory of its own; empty if there is none.
	older, olderDir string
}

func newRelease(t *testing.T, i *installation) testRelease {
	t.Helper()
	r := testRelease{dir: os.Getenv(distVariable)}
	if r.dir != "" {
		archives, err := filepath.Glob(filepath.Join(r.dir, distribution.ArchiveName("*")))
		if err != nil || len(archives) != 1 {
			t.Fatalf("%s: %v, %v", r.dir, archives, err)
		}
		before, after, _ := strings.Cut(distribution.ArchiveName("*"), "*")
		r.version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(archives[0]), before), after)
		r.addFormer(t)
		return r
	}
	needsKit(t, "a release has the kit")
	r.dir, r.version = t.TempDir(), readVersion(t, i.bin)
	o := distribution.Options{Version: r.version, Bin: i.bin, Kit: mustEnv(t, "SKYCTL_TEST_RKE2"),
		License: "../../LICENSE"}
	if err := distribution.Make(t.Context(), r.dir, o); err != nil {
		t.Fatal(err)
	}
	if r.addFormer(t); r.older != "" {
		return r
	}
	r.older, r.olderDir = findOlder(t, r.version), t.TempDir()
	if err := distribution.AddOlder(t.Context(), r.olderDir, o, r.older); err != nil {
		t.Fatal(err)
	}
	return r
}

// addFormer adds the version before, if its programs are given.
func (r *testRelease) addFormer(t *testing.T) {
	t.Helper()
	bin := os.Getenv(formerVariable)
	if bin == "" {
		return
	}
	r.older, r.olderDir = readVersion(t, bin), t.TempDir()
	if err := distribution.Make(t.Context(), r.olderDir, distribution.Options{Version: r.older, Bin: bin}); err != nil {
		t.Fatal(err)
	}
}

// readVersion returns the version of the skyctl in a directory, without the leading v.
func readVersion(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "skyctl"), "version", "--client").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.Fields(string(out))[1], "v")
}

// findOlder returns an older version with as many letters.
func findOlder(t *testing.T, version string) string {
	t.Helper()
	for n, digit := range version {
		if digit < '1' || digit > '9' {
			continue
		}
		older := version[:n] + string(digit-1) + version[n+1:]
		if semver.Compare("v"+older, "v"+version) < 0 {
			return older
		}
	}
	t.Fatalf("no version is older than %s", version)
	return ""
}

// newcomer is a user of this computer with an empty home directory, for whom it has neither Go nor make.
type newcomer struct {
	t    *testing.T
	i    *installation
	home string
	// name is the cluster's: names of hosts are unique on an engine.
	name string
	// enter runs a command as this user.
	enter []string
	env   []string
}

const newcomerID = 54711

func newNewcomer(t *testing.T, i *installation) *newcomer {
	t.Helper()
	dir, err := os.MkdirTemp("", "skyctl-newcomer-")
	if err != nil {
		t.Fatal(err)
	}
	p := &newcomer{t: t, i: i, home: filepath.Join(dir, "home"),
		name: "first-" + strings.ToLower(rand.Text()[:6])}
	nothing := filepath.Join(dir, "nothing")
	for _, name := range []string{p.home, nothing} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(p.home, newcomerID, newcomerID); err != nil {
		t.Fatal(err)
	}
	i.dir = filepath.Join(p.home, ".skyconf")
	ports, err := freeport.DevEnviron(i.dir)
	if err != nil {
		t.Fatal(err)
	}
	p.env = []string{"HOME=" + p.home, "USER=newcomer", "SKYCTL_DOCKER_NETWORK=" + i.network,
		"PATH=" + p.home + "/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	for name, value := range ports {
		p.env = append(p.env, name+"="+value)
	}
	p.enter = newcomerCommand(t, i, nothing)
	p.sh("mkdir " + strings.Join(sharedDirs, " "))
	t.Cleanup(func() {
		if t.Failed() {
			i.show("skyd.log")
		}
		if _, err := os.Stat(filepath.Join(p.home, ".local/bin/skyctl")); err == nil { // the test ended early
			out, err := p.try("skyctl delete cluster " + p.name + " --yes --wait; skyctl server stop")
			t.Log(out, err)
		}
		i.checkEmpty()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

// newcomerCommand returns what runs a command as the newcomer, in a mount namespace in which an empty directory hides
// each directory of Go, and an empty file make.
func newcomerCommand(t *testing.T, i *installation, nothing string) []string {
	t.Helper()
	socket, err := os.Stat(strings.TrimPrefix(i.docker.DaemonHost(), "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	group := strconv.Itoa(int(socket.Sys().(*syscall.Stat_t).Gid))
	var hide strings.Builder
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err == nil {
		fmt.Fprintf(&hide, "mount --bind %s %s && ", nothing, strings.TrimSpace(string(root)))
	}
	empty := filepath.Join(filepath.Dir(nothing), "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go", "make"} {
		if path, err := exec.LookPath(name); err == nil {
			fmt.Fprintf(&hide, "{ [ ! -e %s ] || mount --bind %s %s; } && ", path, empty, path)
		}
	}
	id := strconv.Itoa(newcomerID)
	return []string{"unshare", "--mount", "sh", "-c", hide.String() + `exec setpriv --reuid ` + id + ` --regid ` + id +
		` --groups ` + group + ` -- "$@"`, "sh"}
}

func (p *newcomer) try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), eventually.Patience(patience))
	defer cancel()
	r, err := process.Run(ctx, process.Options{Argv: slices.Concat(p.enter, []string{"sh", "-c", command}), Env: p.env,
		Dir: p.home})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("exit %d", r.Code)
	}
	return r.Stdout + r.Stderr, err
}

// sh runs a command of the newcomer, which must succeed, and returns what it prints.
func (p *newcomer) sh(command string) string {
	p.t.Helper()
	out, err := p.try(command)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

func (p *newcomer) cluster(name string) (c api.Cluster) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.sh("skyctl get cluster "+name+" -o json")), &c); err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *newcomer) checkSaid(out string, parts ...string) {
	p.t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			p.t.Errorf("it does not say %q:\n%s", part, out)
		}
	}
}

// useKit unpacks the kit of a release, and has new clusters use it: the official release may not be reachable here.
func (p *newcomer) useKit(url string) {
	p.t.Helper()
	p.sh("mkdir kit && curl -fsS " + url + ` | tar -xzf - -C kit && mkdir -m 0700 .skyconf &&
		kit=$(dirname "$HOME/$(find kit -maxdepth 2 -name version)") &&
		printf 'rke2: {source: %s, version: %s}\n' "$kit" "$(cat "$kit/version")" >.skyconf/config.yaml`)
}

// removalCommand matches what uninstall says about the programs.
var removalCommand = regexp.MustCompile(`To remove them: (.*)`)

// sharedDirs are the directories that a home directory has which was used before, sorted. Many programs share them.
var sharedDirs = []string{".cache", ".config", ".local", ".local/bin", ".local/share", ".local/share/bash-completion",
	".local/share/bash-completion/completions", ".local/share/doc", ".local/share/fish",
	".local/share/fish/vendor_completions.d", ".local/share/man", ".local/share/man/man1", ".local/share/zsh",
	".local/share/zsh/site-functions", ".local/state"}

// listHome lists the files and directories in the home directory.
func (p *newcomer) listHome() (all []string) {
	p.t.Helper()
	err := filepath.WalkDir(p.home, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != p.home {
			all = append(all, strings.TrimPrefix(name, p.home+"/"))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.Sorted(slices.Values(all))
}

// removeEverything uninstalls all but the logs, and checks what is left.
func (p *newcomer) removeEverything() {
	p.t.Helper()
	image := p.i.importImage()
	out := p.sh("rm -rf kit && DOCKER_HOST=unix://" + p.i.serveEngineAlone(image) +
		" skyctl uninstall --yes --keep-logs")
	if _, err := p.i.docker.ImageInspect(p.t.Context(), image); !errdefs.IsNotFound(err) {
		p.t.Errorf("the host image %s is left: %v\n%s", image, err, out)
	}
	remove := removalCommand.FindStringSubmatch(out)
	if remove == nil {
		p.t.Fatalf("it does not say how to remove the programs:\n%s", out)
	}
	p.sh(remove[1])
	want := slices.Sorted(slices.Values(append(sharedDirs, ".skyconf", ".skyconf/skyd.log")))
	if left := p.listHome(); !slices.Equal(left, want) {
		p.t.Errorf("these files and directories are left:\n%s\nwant\n%s", strings.Join(left, "\n"),
			strings.Join(want, "\n"))
	}
	if _, err := p.i.docker.NetworkInspect(p.t.Context(), p.i.network, network.InspectOptions{}); err == nil {
		p.t.Errorf("network %s is left", p.i.network)
	}
}
