package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTeamServersCreateTheSameClusters(t *testing.T) {
	t.Parallel()
	i := newTeam(t)
	i.runScenes("shared", []scene{
		{"a member creates and deletes a cluster, and gets into its machines through the gateway", createAsMember},
	})
	i.runScenes("shut", []scene{
		{"members reach a closed API through their own tunnels", reachThroughOwnTunnel},
	})
}

func createAsMember(i *installation) {
	if r := i.create("shared", "--num_nodes", "2", "--wait"); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// The worker runs elsewhere, so skyctl writes the kubeconfig from the encrypted store.
	if n := strings.Count(i.kubectl("shared", "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		i.t.Errorf("%d nodes Ready, want 2", n)
	}
	written, err := os.ReadFile(filepath.Join(i.dir, "clusters", "shared", "kubeconfig"))
	if err != nil || string(written) != i.run("get", "kubeconfig", "shared").stdout {
		i.t.Errorf("the written kubeconfig is not the printed one (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "skyd.pid")); !os.IsNotExist(err) {
		i.t.Errorf("skyd dev was started (%v)", err)
	}
	i.checkGateway("shared")
	i.run("delete", "cluster", "shared", "--yes", "--wait")
	if n := len(i.hosts("")); n != 0 {
		i.t.Errorf("%d hosts left", n)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "clusters", "shared")); !os.IsNotExist(err) {
		i.t.Errorf("the cluster's local files are still there (%v)", err)
	}
}

func reachThroughOwnTunnel(i *installation) {
	if r := i.create("shut", "--api_access", "tunnel"); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.closeAPI("shut")
	c := i.awaitReady("shut") // the worker needs no local port
	i.checkClosed(c)

	ctx, cancel := context.WithCancel(i.t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(i.bin, "skyctl"), "tunnel", "shut")
	cmd.Env = i.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.holds("kubectl works", func() bool { return i.ready("shut", 1) })
	cancel()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 ||
		!strings.Contains(said.String(), "The tunnel to cluster shut is closed.") {
		i.t.Errorf("exit %d:\n%s", code, &said)
	}
	if i.ready("shut", 1) {
		i.t.Error("kubectl reaches the API although the tunnel is closed")
	}
	i.run("delete", "cluster", "shut", "--yes", "--wait")
}
