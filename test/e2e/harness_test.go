// Package e2e creates real Kubernetes clusters on Docker hosts with the built skyctl and skyd, as a user does, and
// breaks things. SKYCTL_TEST_BIN is the directory of the programs, and SKYCTL_TEST_RKE2 that of an RKE2 release, or
// "release" for the official one; `make e2e` sets both.
package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	docker "github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/external"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/process"
)

// installation is a skyd with its own state directory, used through the command line.
type installation struct {
	t      *testing.T
	dir    string
	bin    string
	env    []string
	docker *docker.Client
	// network is the installation's own Docker network: it launched every container on it.
	network string
	// gateway is the address of the worker's gateway to machines; empty if there is none.
	gateway string
}

// newInstallation prepares a state directory with free ports; the first command starts skyd.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := prepare(t)
	i.dir = filepath.Join(t.TempDir(), "skyconf")
	i.useMirror()
	dev, err := freeport.DevEnviron(i.dir)
	if err != nil {
		t.Fatal(err)
	}
	i.env = slices.Concat(os.Environ(), i.settings(), []string{"XDG_STATE_HOME=" + i.dir + ".state"})
	for name, value := range dev {
		i.env = append(i.env, name+"="+value)
	}
	t.Cleanup(func() {
		if t.Failed() {
			i.show("skyd.log")
		}
		i.deleteAll()
		i.try("server", "stop")
		i.checkEmpty()
	})
	return i
}

// newTeam starts the servers of a team, with a worker of its own, and points skyctl at them.
func newTeam(t *testing.T) *installation {
	t.Helper()
	i := prepare(t)
	chain, err := external.StartStack(t.Context(), external.Options{
		Bins: i.bin, Dir: t.TempDir(), WorkerEnv: append(i.settings(), "HOME="+os.Getenv("HOME"),
			"PATH="+os.Getenv("PATH")),
	})
	if err != nil {
		t.Fatal(err)
	}
	i.dir, i.env, i.gateway = chain.StateDir(), append(os.Environ(), chain.SkyctlEnv()...), chain.GatewayAddress()
	i.useMirror()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the worker's log:\n%s", chain.ReadLog("worker"))
		}
		i.deleteAll()
		if err := chain.Stop(); err != nil {
			t.Errorf("stop the team's servers: %v", err)
		}
		i.checkEmpty()
	})
	return i
}

// prepare connects to the Docker engine and names the test's network.
func prepare(t *testing.T) *installation {
	t.Helper()
	client, err := docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	return &installation{t: t, bin: mustEnv(t, "SKYCTL_TEST_BIN"), docker: client, network: "skyctl-e2e-" +
		rand.Text()[:8]}
}

// settings returns the worker's settings: its RKE2 release and its network.
func (i *installation) settings() []string {
	i.t.Helper()
	env := []string{"SKYCTL_DOCKER_NETWORK=" + i.network, "SKYCTL_RKE2_SOURCE=" + mustEnv(i.t, "SKYCTL_TEST_RKE2")}
	if version := os.Getenv("SKYCTL_TEST_RKE2_VERSION"); version != "" {
		env = append(env, "SKYCTL_RKE2_VERSION="+version)
	}
	return env
}

// show logs the end of a file of the state directory.
func (i *installation) show(name string) {
	if log, err := os.ReadFile(filepath.Join(i.dir, name)); err == nil {
		i.t.Logf("%s:\n%s", name, log[max(0, len(log)-6000):])
	}
}

// deleteAll deletes the remaining clusters.
func (i *installation) deleteAll() {
	var list struct{ Items []api.Cluster }
	if json.Unmarshal([]byte(i.try("get", "clusters", "-o", "json").stdout), &list) != nil {
		return
	}
	for _, c := range list.Items {
		i.try("delete", "cluster", c.Metadata.Name, "--yes", "--wait")
	}
}

// checkEmpty fails the test for every host that outlived its cluster, and removes it.
func (i *installation) checkEmpty() {
	for _, c := range i.hosts("") {
		i.t.Errorf("%s was left behind", c.Names[0])
		_ = i.docker.ContainerRemove(context.Background(), c.ID,
			container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	_ = i.docker.NetworkRemove(context.Background(), i.network)
	i.docker.Close()
}

// result is the output and exit code of a command.
type result struct {
	stdout, stderr string
	code           int
}

// patience is longer than a command or a condition takes on a busy computer, unless something is stuck.
const patience = 10 * time.Minute

// try runs skyctl and returns the result.
func (i *installation) try(args ...string) result { return i.tryFor(patience, args...) }

func (i *installation) tryFor(limit time.Duration, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), eventually.Patience(limit))
	defer cancel()
	got, err := process.Run(ctx, process.Options{Argv: append([]string{filepath.Join(i.bin, "skyctl")}, args...),
		Env: i.env})
	r := result{stdout: got.Stdout, stderr: got.Stderr, code: got.Code}
	if err != nil && r.code == 0 {
		r.code = -1
	}
	return r
}

// run runs a command that must succeed.
func (i *installation) run(args ...string) result {
	i.t.Helper()
	r := i.try(args...)
	if r.code != 0 {
		i.t.Fatalf("skyctl %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// create creates a cluster on Docker hosts, which are as large as a server of RKE2 has to be.
func (i *installation) create(name string, more ...string) result {
	return i.try(createArguments(name, more...)...)
}

func createArguments(name string, more ...string) []string {
	return append([]string{"create", "cluster", name, "--provision", "--cloud", "docker", "--cpus", "2+", "--memory",
		"4"}, more...)
}

// cluster reads a cluster from the command line.
func (i *installation) cluster(name string) api.Cluster {
	i.t.Helper()
	var c api.Cluster
	if err := json.Unmarshal([]byte(i.run("get", "cluster", name, "-o", "json").stdout), &c); err != nil {
		i.t.Fatal(err)
	}
	return c
}

// await waits until a condition of a cluster holds. It fails if the cluster reaches a phase in which the condition can
// never hold.
func (i *installation) await(name, what string, holds func(api.Cluster) bool) api.Cluster {
	i.t.Helper()
	return i.awaitEvery(commandPause, name, what, holds)
}

// awaitPassing is await for a condition that may hold for a short time only.
func (i *installation) awaitPassing(name, what string, holds func(api.Cluster) bool) api.Cluster {
	i.t.Helper()
	return i.awaitEvery(commandPause/4, name, what, holds)
}

func (i *installation) awaitEvery(pause time.Duration, name, what string, holds func(api.Cluster) bool) api.Cluster {
	i.t.Helper()
	deadline := time.Now().Add(eventually.Patience(patience))
	for time.Now().Before(deadline) {
		r := i.try("get", "cluster", name, "-o", "json")
		var c api.Cluster
		if r.code == 0 && json.Unmarshal([]byte(r.stdout), &c) == nil && holds(c) {
			return c
		}
		time.Sleep(pause)
	}
	i.t.Fatalf("%s: not %s in time:\n%s", name, what, i.try("describe", "cluster", name).stdout)
	return api.Cluster{}
}

func (i *installation) awaitReady(name string) api.Cluster {
	i.t.Helper()
	return i.await(name, "READY", func(c api.Cluster) bool {
		if c.Status.Phase == api.PhaseError {
			i.t.Fatalf("%s: ERROR:\n%s", name, i.try("describe", "cluster", name).stdout)
		}
		return c.Status.Phase == api.PhaseReady
	})
}

// machinesAt is true once at least n machines are in one of the states.
func machinesAt(n int, states ...api.MachineState) func(api.Cluster) bool {
	return func(c api.Cluster) bool {
		count := 0
		for _, m := range c.Status.Machines {
			if slices.Contains(states, m.State) {
				count++
			}
		}
		return count >= n
	}
}

// createStates are the states of a machine in a create, in their order.
var createStates = []api.MachineState{api.MachineLaunching, api.MachineUp, api.MachinePrepared, api.MachineReady}

// machinesPast is machinesAt for a state of a create and those after it: who looks now and then misses some.
func machinesPast(n int, state api.MachineState) func(api.Cluster) bool {
	return machinesAt(n, createStates[slices.Index(createStates, state):]...)
}

// startCommand runs a command in the background. Its result arrives once.
func (i *installation) startCommand(args ...string) <-chan result {
	done := make(chan result, 1)
	go func() { done <- i.try(args...) }()
	return done
}

// hosts lists the containers of a cluster of this installation, or of all its clusters.
func (i *installation) hosts(cluster string) []container.Summary {
	i.t.Helper()
	f := filters.NewArgs(filters.Arg("network", i.network))
	if cluster != "" {
		f.Add("label", cloud.LabelCluster+"="+cluster)
	}
	all, err := i.docker.ContainerList(context.Background(), container.ListOptions{All: true, Filters: f})
	if err != nil {
		i.t.Fatal(err)
	}
	return all
}

// scene is a part of a test. It goes on with what the scene before it left.
type scene struct {
	shows string
	run   func(*installation)
}

// runScenes runs the scenes of a test, and ends it after the first one that fails. The cluster is what they are about.
func (i *installation) runScenes(cluster string, scenes []scene) {
	i.t.Helper()
	for _, s := range scenes {
		if !i.t.Run(s.shows, func(t *testing.T) { j := *i; j.t = t; s.run(&j) }) {
			i.t.Fatalf("%s\nevents:\n%s", i.try("describe", "cluster", cluster).stdout,
				i.try("get", "events", cluster).stdout)
		}
	}
}

// onHost runs a command on a Docker host.
func (i *installation) onHost(name string, args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"exec", name}, args...)...).CombinedOutput()
	return string(out), err
}

// sh runs a script on a Docker host, which must succeed, and returns its output.
func (i *installation) sh(host, script string) string {
	i.t.Helper()
	out, err := i.onHost(host, "sh", "-ec", script)
	if err != nil {
		i.t.Fatalf("on %s: %s: %v\n%s", host, script, err, out)
	}
	return out
}

// onceThere runs a script on a Docker host as soon as the host exists.
func (i *installation) onceThere(host, script string) {
	i.t.Helper()
	eventually.Holds(i.t, "a script has run on "+host, func() bool {
		_, err := i.onHost(host, "sh", "-ec", script)
		return err == nil
	})
}

// askFor is a script that asks the kit on a machine for faults: its README describes them.
func askFor(faults map[string]string) string {
	script := "mkdir -p /etc/skyctl-test"
	for name, content := range faults {
		script += fmt.Sprintf("\ncat >/etc/skyctl-test/%s <<'EOF'\n%s\nEOF", name, content)
	}
	return script
}

func (i *installation) dockerRun(args ...string) {
	i.t.Helper()
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		i.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// killSkyd kills skyd, like a crash.
func (i *installation) killSkyd() {
	i.t.Helper()
	raw, err := os.ReadFile(filepath.Join(i.dir, "skyd.pid"))
	if err != nil {
		i.t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		i.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		i.t.Fatal(err)
	}
	eventually.Holds(i.t, "skyd is dead", func() bool { return syscall.Kill(pid, 0) != nil })
}

// commandPause is the time between two checks of a condition that run commands, each of which needs processor time.
const commandPause = 400 * time.Millisecond

// holds waits until a condition holds that is checked with commands.
func (i *installation) holds(what string, condition func() bool) {
	i.t.Helper()
	eventually.HoldsEvery(i.t, commandPause, patience/2, what, condition)
}

func mustEnv(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run `make e2e`", name)
	}
	return v
}
