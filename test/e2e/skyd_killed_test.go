package e2e

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/network"
	docker "github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// TestClusterOutlivesSkyd kills skyd while it creates and deletes a cluster, and boots its computer between. Then
// everything is removed. Sweeps are as rare as by default while skyd is killed: one would start a workflow again that
// did not go on by itself.
func TestClusterOutlivesSkyd(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.runScenes("boot", []scene{
		{"a create goes on after each of three kills", killDuringCreate},
		{"the cluster is READY again after a boot, without a command", bootComputer},
		{"a delete goes on after a kill", killDuringDelete},
		{"an uninstall leaves nothing", (*installation).uninstall},
	})
}

// killDuringCreate kills skyd at three points. Each time the next command starts it again.
func killDuringCreate(i *installation) {
	if r := i.create("boot", "--num_nodes", "2", "--on_server_loss", "wait"); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	for _, point := range []struct {
		what  string
		state func(api.Cluster) bool
	}{
		{"launching a machine", machinesPast(1, api.MachineLaunching)},
		{"preparing a machine", machinesPast(1, api.MachineUp)},
		{"joining the machines", machinesPast(2, api.MachinePrepared)},
	} {
		i.awaitPassing("boot", point.what, point.state)
		i.killSkyd()
	}
	c := i.awaitReady("boot")
	if n := len(i.hosts("boot")); n != 2 {
		i.t.Errorf("%d machines, want exactly 2", n)
	}
	for _, m := range c.Status.Machines {
		if m.State != api.MachineReady {
			i.t.Errorf("%s is %s", m.Name, m.State)
		}
	}
	if n := strings.Count(i.kubectl("boot", "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		i.t.Errorf("%d nodes Ready", n)
	}
}

func killDuringDelete(i *installation) {
	i.run("delete", "cluster", "boot", "--yes")
	i.killSkyd()
	i.holds("the cluster is gone", func() bool { return i.try("get", "cluster", "boot").code == 4 })
	if n := len(i.hosts("boot")); n != 0 {
		i.t.Errorf("%d machines left", n)
	}
}

// startingEngine stands between skyd and the Docker engine, which does not answer at first.
type startingEngine struct {
	socket  string // the engine's
	answers atomic.Bool
	missed  atomic.Int32 // calls that were not answered
}

func (e *startingEngine) serve(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		if !e.answers.Load() {
			e.missed.Add(1)
			_ = near.Close()
			continue
		}
		go e.forward(near)
	}
}

func (e *startingEngine) forward(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("unix", e.socket)
	if err != nil {
		return
	}
	defer far.Close()
	go func() { _, _ = io.Copy(far, near); _ = far.(*net.UnixConn).CloseWrite() }()
	_, _ = io.Copy(near, far)
}

// tryKubectl is kubectl without a failure of the test: the API may not answer yet.
func (i *installation) tryKubectl(cluster string, args ...string) string {
	cmd := exec.CommandContext(i.t.Context(), filepath.Join(i.bin, "kubectl"), append(args, "--request-timeout=5s")...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(i.dir, "clusters", cluster, "kubeconfig"))
	out, _ := cmd.Output()
	return string(out)
}

// keepHostImage has another installation on the engine, so that an uninstall leaves the host image to other tests.
func (i *installation) keepHostImage() {
	i.t.Helper()
	others, err := i.docker.NetworkCreate(i.t.Context(), "skyctl-e2e-other-"+rand.Text()[:8],
		network.CreateOptions{Labels: map[string]string{cloud.LabelInstallation: "other"}})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { removeNetwork(i.t, others.ID) })
}

// uninstall removes the installation, and checks what is left.
func (i *installation) uninstall() {
	i.t.Helper()
	i.keepHostImage()
	i.env = append(slices.Clone(i.env), "XDG_CACHE_HOME="+i.t.TempDir()) // its file stays for other tests too
	listed := i.run("uninstall", "--dry-run").stdout
	if !strings.Contains(listed, filepath.Join(i.dir, "server")) || !strings.Contains(listed, i.dir+".state") {
		i.t.Errorf("a dry run lists\n%s", listed)
	}
	got := i.run("uninstall", "--yes")
	if !strings.Contains(got.stderr, "the host image, for another installation") {
		i.t.Errorf("uninstall says\n%s%s", got.stdout, got.stderr)
	}
	for _, dir := range []string{i.dir, filepath.Join(i.dir+".state", "skyctl")} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			i.t.Errorf("%s is left: %v", dir, err)
		}
	}
	if _, err := i.docker.NetworkInspect(i.t.Context(), i.network, network.InspectOptions{}); err == nil {
		i.t.Errorf("network %s is left", i.network)
	}
}

// removeNetwork removes a network with a client of its own, because the test's is closed before.
func removeNetwork(t *testing.T, id string) {
	c, err := docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if err := c.NetworkRemove(context.Background(), id); err != nil {
		t.Error(err)
	}
}
