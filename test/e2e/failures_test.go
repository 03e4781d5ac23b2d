package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// TestFailedCreateSaysWhyAndGoesOn creates the same cluster again and again. Each time something else is wrong, until
// nothing is.
func TestFailedCreateSaysWhyAndGoesOn(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.runScenes("broken", []scene{
		{"a worker cannot start: ERROR, and no machine is left", workerBroken},
		{"the server rejects workers on 9345: ERROR at once, and no machine is left", joinPortClosed},
		{"the kubelet of the server dies: ERROR with its last words, and the machines are kept", kubeletDies},
		{"a worker cannot start again: the kept machines are used, and kept", workerBrokenOnKeptMachine},
		{"nothing is wrong any more: the kept machines become READY", createOnKeptMachines},
	})
}

// createBroken requests the cluster, again if it is in ERROR.
func (i *installation) createBroken(more ...string) {
	i.t.Helper()
	if r := i.create("broken", append([]string{"--num_nodes", "2"}, more...)...); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
}

func (i *installation) awaitFailure() api.Failure {
	i.t.Helper()
	c := i.await("broken", "ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	if c.Status.Failure == nil {
		i.t.Fatalf("ERROR without a failure: %+v", c.Status)
	}
	return *c.Status.Failure
}

func (i *installation) checkMachines(want int) {
	i.t.Helper()
	if n := len(i.hosts("broken")); n != want {
		i.t.Errorf("%d machines are there, want %d", n, want)
	}
}

const (
	maskAgent   = "ln -sf /dev/null /etc/systemd/system/rke2-agent.service && systemctl daemon-reload"
	unmaskAgent = "rm /etc/systemd/system/rke2-agent.service && systemctl daemon-reload"
)

func workerBroken(i *installation) {
	i.createBroken()
	i.onceThere("sky-broken-1", maskAgent)
	f := i.awaitFailure()
	if f.Machine != "sky-broken-1" || f.Reason == "" || f.Message == "" {
		i.t.Fatalf("failure: %+v", f)
	}
	i.checkMachines(0)
	text := i.run("describe", "cluster", "broken").stdout
	for _, want := range []string{f.Step, f.Machine, f.Reason} {
		if !strings.Contains(text, want) {
			i.t.Errorf("describe does not show %q:\n%s", want, text)
		}
	}
}

func joinPortClosed(i *installation) {
	i.createBroken()
	i.onceThere("sky-broken-0", "iptables -I INPUT -p tcp --dport 9345 ! -i lo -j REJECT")
	if f := i.awaitFailure(); f.Machine != "sky-broken-1" || f.Reason != "PortClosed" ||
		!strings.Contains(f.Message, "cannot reach port 9345/tcp of sky-broken-0") {
		i.t.Fatalf("failure: %+v", f)
	}
	i.checkMachines(0)
}

func kubeletDies(i *installation) {
	needsKit(i.t, "only the kit can be asked to fail")
	const cause = "failed to run Kubelet: the swap is too small for this test"
	created := i.startCommand(createArguments("broken", "--num_nodes", "2", "--keep-on-failure", "--wait")...)
	i.onceThere("sky-broken-0", askFor(map[string]string{
		"kubelet-exits": `E1129 04:00:00.000000 1 run.go:72] "command failed" err="` + cause + ` token=sesame4711"`}))
	r := <-created
	if r.code != 1 {
		i.t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	page := i.run("describe", "cluster", "broken").stdout
	for what, text := range map[string]string{"create": r.stdout + r.stderr, "describe": page} {
		for _, want := range []string{"KubeletFailed", "the kubelet exits again and again", cause,
			"== /var/lib/rancher/rke2/agent/logs/kubelet.log ==", "== journal of rke2-server =="} {
			if !strings.Contains(text, want) {
				i.t.Errorf("%s lacks %q:\n%s", what, want, text)
			}
		}
		if strings.Contains(text, "sesame4711") {
			i.t.Errorf("%s shows a secret:\n%s", what, text)
		}
	}
	i.checkMachines(2)
	i.sh("sky-broken-0", "rm /etc/skyctl-test/kubelet-exits")
}

func workerBrokenOnKeptMachine(i *installation) {
	before := i.hostIDs("broken") // none with the official release
	i.createBroken("--keep-on-failure")
	i.onceThere("sky-broken-1", "{ systemctl stop rke2-agent || true; } && "+maskAgent) // it may run already
	if f := i.awaitFailure(); f.Machine != "sky-broken-1" {
		i.t.Errorf("failure: %+v", f)
	}
	i.checkMachines(2)
	if after := i.hostIDs("broken"); len(before) > 0 && !slices.Equal(before, after) {
		i.t.Errorf("machines before %v, after %v: want the same", before, after)
	}
}

func createOnKeptMachines(i *installation) {
	before := i.hostIDs("broken")
	i.sh("sky-broken-1", unmaskAgent)
	i.createBroken("--wait")
	if after := i.hostIDs("broken"); !slices.Equal(before, after) {
		i.t.Errorf("machines before %v, after %v: want the same", before, after)
	}
	if nodes := i.kubectl("broken", "get", "nodes", "--no-headers"); strings.Count(nodes, " Ready ") != 2 {
		i.t.Errorf("not two Ready nodes:\n%s", nodes)
	}
}

// hostIDs returns the IDs of a cluster's containers, sorted.
func (i *installation) hostIDs(cluster string) []string {
	var all []string
	for _, c := range i.hosts(cluster) {
		all = append(all, c.ID)
	}
	slices.Sort(all)
	return all
}
