package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// TestCreateWaitsForWhatPasses has a registry that limits pulls, on the head and on the worker, and a cloud controller
// that is slow.
func TestCreateWaitsForWhatPasses(t *testing.T) {
	t.Parallel()
	needsKit(t, "only the kit can be asked to fail")
	i := newInstallation(t)
	created := i.startCreate("late-pulls", "--num_nodes", "2")
	i.askMachines("late-pulls", 2, map[string]string{"pull-fails": "4", "uninitialized": "15"})
	seen := map[int]bool{}
	i.await("late-pulls", "READY", func(c api.Cluster) bool {
		if c.Status.Phase == api.PhaseError {
			t.Fatalf("ERROR:\n%s", i.try("describe", "cluster", "late-pulls").stdout)
		}
		for _, m := range c.Status.Machines {
			if strings.Contains(m.Step, "the image registry limits pulls: ") &&
				strings.Contains(m.Step, "TOOMANYREQUESTS") {
				seen[m.Index] = true
			}
		}
		return c.Status.Phase == api.PhaseReady
	})
	if r := <-created; r.code != 0 {
		t.Errorf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !seen[0] || !seen[1] {
		t.Errorf("the machines whose progress told about the registry: %v", seen)
	}
	if taints := i.kubectl("late-pulls", "get", "nodes", "-o",
		"jsonpath={.items[*].spec.taints[*].key}"); strings.Contains(
		taints, "uninitialized") {
		t.Errorf("READY with the taints %s", taints)
	}
	c := i.cluster("late-pulls")
	if got := c.Status.FindCondition(api.AddOnsReady); got == nil || got.Status != api.ConditionTrue {
		t.Errorf("the condition is %+v", got)
	}
}

func TestDyingKubeletEndsACreateWithItsCause(t *testing.T) {
	t.Parallel()
	needsKit(t, "only the kit can be asked to fail")
	i := newInstallation(t)
	const cause = "failed to run Kubelet: the swap is too small for this test"
	start := time.Now()
	created := i.startCreate("dying-kubelet", "--keep-on-failure")
	i.askMachines("dying-kubelet", 1, map[string]string{
		"kubelet-exits": `E1129 04:00:00.000000 1 run.go:72] "command failed" err="` + cause + ` token=sesame4711"`})
	r := <-created
	if r.code != 1 {
		t.Fatalf("create: exit %d after %s\n%s%s", r.code, time.Since(start), r.stdout, r.stderr)
	}
	page := i.run("describe", "cluster", "dying-kubelet").stdout
	for what, text := range map[string]string{"create": r.stdout + r.stderr, "describe": page} {
		for _, want := range []string{"KubeletFailed", "the kubelet exits again and again", cause,
			"== /var/lib/rancher/rke2/agent/logs/kubelet.log ==", "== journal of rke2-server =="} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", what, want, text)
			}
		}
		if strings.Contains(text, "sesame4711") {
			t.Errorf("%s shows a secret:\n%s", what, text)
		}
	}
	if took := time.Since(start); took > eventually.Patience(4*time.Minute) {
		t.Errorf("it took %s", took)
	}

	// Once the cause is gone, the same create goes on.
	i.inMachine(i.hosts("dying-kubelet")[0].ID, "rm /etc/skyctl-test/kubelet-exits")
	if r := i.create("dying-kubelet", "--wait"); r.code != 0 {
		t.Errorf("the same create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// startCreate creates a cluster, and waits for it in the background.
func (i *installation) startCreate(name string, more ...string) <-chan result {
	created := make(chan result, 1)
	go func() { created <- i.create(name, append(more, "--wait")...) }()
	return created
}

// askMachines asks each machine of a cluster for what the kit's README describes, as soon as it exists.
func (i *installation) askMachines(cluster string, count int, modes map[string]string) {
	i.t.Helper()
	asked := map[string]bool{}
	eventually.HoldsWithin(i.t, time.Minute, "the machines exist", func() bool {
		for _, host := range i.hosts(cluster) {
			if asked[host.ID] || host.State != "running" {
				continue
			}
			script := "mkdir -p /etc/skyctl-test"
			for name, content := range modes {
				script += fmt.Sprintf("; cat >/etc/skyctl-test/%s <<'EOF'\n%s\nEOF\n:", name, content)
			}
			i.inMachine(host.ID, script)
			asked[host.ID] = true
		}
		return len(asked) == count
	})
}

func (i *installation) inMachine(id, script string) {
	i.t.Helper()
	if out, err := exec.Command("docker", "exec", id, "sh", "-ec", script).CombinedOutput(); err != nil {
		i.t.Fatalf("in the machine %s: %v\n%s", id, err, out)
	}
}
