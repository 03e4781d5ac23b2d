package external

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/eventually"
)

// oneLine checks the output if a server is unreachable: the attempt, and one line with the reason.
func oneLine(t *testing.T, code int, stderr, name, where string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if code != 5 || len(lines) > 2 || !strings.Contains(last, name+" at "+where) {
		t.Errorf("exit %d, want 5 and one line that names %s and %s:\n%s", code, name, where, stderr)
	}
}

// withoutService stops a service until the test ends.
func withoutService(t *testing.T, name string) {
	t.Helper()
	if err := stack.KillService(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := stack.StartService(ctx, name); err != nil {
			t.Error(err)
		}
		eventually.Succeeds(t, "the worker is well again", func() error { return stack.CheckHealth(ctx, "worker") })
	})
}

// plan runs a workflow on the worker; an invalid request comes back with exit code 2.
func plan(t *testing.T) error {
	code, _, stderr := skyctl(t, stack.SkyctlEnv(), "create", "cluster", "plan", "--provision", "--cloud", "docker",
		"--cpus", "1000", "--dry-run")
	if code != 2 {
		return fmt.Errorf("exit %d: %s", code, stderr)
	}
	return nil
}

func TestWorkerContinuesAfterEachServerIsKilled(t *testing.T) {
	for _, service := range []string{"etcd", "temporal", "worker"} {
		t.Run(service, func(t *testing.T) {
			if err := stack.KillService(service); err != nil {
				t.Fatal(err)
			}
			if err := stack.StartService(t.Context(), service); err != nil {
				t.Fatal(err)
			}
			eventually.Succeeds(t, "a plan is carried out", func() error { return plan(t) })
		})
	}
}

func TestEtcdBackupRestoresEverything(t *testing.T) {
	dir := t.TempDir()
	etcd := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(bins(), "external", args[0]), args[1:]...)
		cmd.Env = []string{"HOME=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	client := []string{
		"etcdctl", "--endpoints=" + stack.EtcdEndpoint(), "--dial-timeout=1m", "--command-timeout=2m",
		"--cacert=" + stack.MemberFile("ca.crt"), "--cert=" + stack.MemberFile("tls.crt"),
		"--key=" + stack.MemberFile("tls.key"),
	}
	etcd(append(client, "put", "/skyctl/test/backup", "kept")...)
	snapshot := filepath.Join(dir, "etcd.db")
	etcd(append(client, "snapshot", "save", snapshot)...)
	etcd(append(client, "del", "/skyctl/test/backup")...)

	if err := stack.StopService("etcd"); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(stack.o.Dir, "etcd", "data")
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	peer := "https://" + loopbackAddress(stack.place.ports.etcdPeer)
	etcd("etcdutl", "snapshot", "restore", snapshot, "--data-dir="+data, "--name=skyctl",
		"--initial-cluster=skyctl="+peer, "--initial-advertise-peer-urls="+peer, "--bump-revision=1000000",
		"--mark-compacted")
	if err := stack.StartService(t.Context(), "etcd"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(bins(), "external", "etcdctl"),
		append(client[1:], "get", "--print-value-only", "/skyctl/test/backup")...).Output()
	if err != nil || strings.TrimSpace(string(out)) != "kept" {
		t.Errorf("read back: %q, %v", out, err)
	}
	etcd(append(client, "del", "/skyctl/test/backup")...)
	eventually.Succeeds(t, "a plan is carried out", func() error { return plan(t) })
}
