package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// newWatched creates an installation with frequent sweeps and short delays.
func newWatched(t *testing.T) *installation {
	t.Helper()
	i := newInstallation(t)
	i.env = append(i.env, "SKYCTL_RECONCILE_INTERVAL=5s", "SKYCTL_RECONCILE_NOT_READY_FOR="+
		eventually.Patience(15*time.Second).String(),
		"SKYCTL_RECONCILE_ORPHAN_GRACE=5s")
	return i
}

func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	// This is a restart's time too. On a busy computer a restarted head took 23 s until its API was ready.
	i.env = append(i.env, "SKYCTL_RECONCILE_NOT_READY_FOR="+eventually.Patience(30*time.Second).String())
	if r := i.create("kept", "--num_nodes", "3", "--on_server_loss", "wait", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// Each kind of repair is used once per machine, because the second one is delayed by minutes; otherwise the test
	// calls hurry.
	for _, row := range []struct {
		drift string
		run   func(*testing.T, *installation)
	}{
		{"the kubeconfig file is removed", kubeconfigRemoved},
		{"a worker's network to the head is cut", workerCutOff},
		{"RKE2 is stopped on a worker", unitStopped},
		{"a worker is lost", workerLost},
		{"a Node is deleted by hand", nodeDeleted},
		{"a machine is stopped from outside", machineStopped},
		{"there is a machine too many", machineTooMany},
		{"the credentials end soon", credentialsEndSoon},
		{"RKE2 is stopped on the head", headStopped},
		{"the head's Node is deleted by hand", headNodeDeleted},
		{"repairs are paused", paused},
		{"the head is lost", headLost},
	} {
		if !t.Run(row.drift, func(t *testing.T) { j := *i; j.t = t; row.run(t, &j) }) {
			t.FailNow()
		}
	}
	t.Logf("events:\n%s", i.run("get", "events", "kept").stdout)
}

// inSync waits until a cluster of three machines is in sync, and checks that with the Docker engine and the API.
func (i *installation) inSync(name string) api.Cluster {
	i.t.Helper()
	c := i.await(name, "in sync", func(c api.Cluster) bool {
		in := c.Status.FindCondition(api.InSync)
		open := slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool { return r.Ended.IsZero() })
		return c.Status.Phase == api.PhaseReady && len(c.Status.Drift) == 0 && in != nil &&
			in.Status == api.ConditionTrue && !open
	})
	if n := len(i.hosts(name)); n != 3 {
		i.t.Errorf("%d hosts, want 3", n)
	}
	nodes := strings.Fields(i.kubectl(name, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	var want []string
	for _, m := range c.Status.Machines {
		want = append(want, m.NodeName)
	}
	slices.Sort(nodes)
	slices.Sort(want)
	if !slices.Equal(nodes, want) {
		i.t.Errorf("nodes %v, want %v", nodes, want)
	}
	// A cluster is in sync too while a node is not ready for a moment, as after a restart of the head.
	eventually.HoldsEvery(i.t, time.Second, time.Minute, "three nodes are Ready", func() bool {
		return strings.Count(i.kubectl(name, "get", "nodes", "--no-headers"), " Ready ") == 3
	})
	return c
}

// repaired waits until an action on a machine has succeeded that is not in before.
func (i *installation) repaired(before api.Cluster, kind api.ActionKind, index int) api.Cluster {
	i.t.Helper()
	i.await("kept", fmt.Sprintf("repaired by %s of machine %d", kind, index), isRepaired(before, kind, index))
	return i.inSync("kept")
}

// repairedOnRequest is repaired for an action that a pause after an earlier one holds back: it requests a reconcile,
// which has no such pause, and again while none runs, because a reconcile repairs only what it finds at that moment.
func (i *installation) repairedOnRequest(before api.Cluster, kind api.ActionKind, index int) api.Cluster {
	i.t.Helper()
	holds := isRepaired(before, kind, index)
	var asked time.Time
	i.await("kept", fmt.Sprintf("repaired by %s of machine %d on request", kind, index), func(c api.Cluster) bool {
		if holds(c) {
			return true
		}
		if !open(c) && time.Since(asked) > askAgain {
			i.try("reconcile", "kept")
			asked = time.Now()
		}
		return false
	})
	return i.inSync("kept")
}

// isRepaired returns the condition that an action on a machine has succeeded that is not in before.
func isRepaired(before api.Cluster, kind api.ActionKind, index int) func(api.Cluster) bool {
	known := map[string]bool{}
	for _, r := range before.Status.Repairs {
		known[r.ID] = true
	}
	return func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
			return !known[r.ID] && r.Action.Kind == kind && r.Action.Index == index && !r.Ended.IsZero() &&
				r.Error == ""
		})
	}
}

func (i *installation) sh(host, script string) string {
	i.t.Helper()
	out, err := i.onHost(host, "sh", "-c", script)
	if err != nil {
		i.t.Fatalf("on %s: %s: %v\n%s", host, script, err, out)
	}
	return out
}

func kubeconfigRemoved(t *testing.T, i *installation) {
	path := filepath.Join(i.dir, "clusters", "kept", "kubeconfig")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the kubeconfig is restored", func() bool {
		now, err := os.ReadFile(path)
		return err == nil && bytes.Equal(now, before)
	})
	i.inSync("kept")
}

func unitStopped(_ *testing.T, i *installation) {
	before := i.inSync("kept")
	i.sh("sky-kept-2", "systemctl stop rke2-agent")
	i.repaired(before, api.ActionRestart, 2)
}

func workerLost(t *testing.T, i *installation) {
	before := i.inSync("kept")
	if err := i.docker.ContainerRemove(context.Background(), "sky-kept-2",
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	after := i.repaired(before, api.ActionReplace, 2)
	if was, is := before.Status.Machines[2].Incarnation, after.Status.Machines[2].Incarnation; was == is {
		t.Errorf("machine 2 still has incarnation %s", is)
	}
	if secrets := i.kubectl("kept", "get", "secrets", "-n", "kube-system"); strings.Contains(secrets,
		before.Status.Machines[2].NodeName) {
		t.Errorf("the lost Node's secret still exists:\n%s", secrets)
	}
}

func nodeDeleted(_ *testing.T, i *installation) {
	before := i.inSync("kept")
	i.kubectl("kept", "delete", "node", before.Status.Machines[1].NodeName)
	i.await("kept", "reported to lack a Node", func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool { return d.Reason == api.DriftNodeMissing })
	})
	i.repairedOnRequest(before, api.ActionRestart, 1)
}

// headNodeDeleted deletes the Node of the only server, which removes its control plane.
func headNodeDeleted(t *testing.T, i *installation) {
	before := i.inSync("kept")
	head := before.Status.Machines[0].NodeName
	uid := i.kubectl("kept", "get", "node", head, "-o", "jsonpath={.metadata.uid}")
	i.kubectl("kept", "create", "configmap", "before")
	i.kubectl("kept", "delete", "node", head, "--wait=false")
	// The API answers now and then: RKE2 is started again and again.
	isRestarted := isRepaired(before, api.ActionRestart, 0)
	i.await("kept", "without its control plane", func(c api.Cluster) bool {
		return open(c) || isRestarted(c) || slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool {
			return d.Reason == api.DriftNodeMissing || d.Reason == api.DriftAPISilent &&
				time.Since(d.Since) > 20*time.Second
		})
	})
	i.repairedOnRequest(before, api.ActionRestart, 0)
	if now := i.kubectl("kept", "get", "node", head, "-o", "jsonpath={.metadata.uid}"); now == uid {
		t.Errorf("the Node is still the one that was deleted")
	}
	i.kubectl("kept", "get", "configmap", "before")
}

func machineStopped(t *testing.T, i *installation) {
	before := i.inSync("kept")
	if err := i.docker.ContainerStop(context.Background(), "sky-kept-2", container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	after := i.repaired(before, api.ActionStartMachine, 2)
	if was, is := before.Status.Machines[2], after.Status.Machines[2]; was.Incarnation != is.Incarnation ||
		was.Address != is.Address {
		t.Errorf("machine 2 was %s at %s and is %s at %s", was.Incarnation, was.Address, is.Incarnation, is.Address)
	}
}

func machineTooMany(t *testing.T, i *installation) {
	before := i.inSync("kept")
	host, err := i.docker.ContainerInspect(context.Background(), "sky-kept-1")
	if err != nil {
		t.Fatal(err)
	}
	i.plant("sky-kept-7", host.Config.Image, host.Config.Labels,
		map[string]string{"skyctl-index": "7", "skyctl-incarnation": "extra"})
	i.repaired(before, api.ActionTerminate, 7)
}

// TestCopyOfTheHeadIsNotChanged uses docker commit and docker run, which also copy a machine's labels.
func TestCopyOfTheHeadIsNotChanged(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	if r := i.create("pc", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	server := i.hosts("pc")[0].ID
	backup := strings.ToLower("backup-" + i.network)
	i.dockerRun("commit", "sky-pc-0", backup)
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", backup).Run() })
	i.dockerRun("run", "--detach", "--name", backup, "--entrypoint", "sleep", backup, "3000")
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", "--volumes", backup).Run() })
	runs := func(what, id string) {
		t.Helper()
		if got, err := i.docker.ContainerInspect(context.Background(), id); err != nil || !got.State.Running {
			t.Errorf("%s is not running: %v", what, err)
		}
	}

	told := func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Drift,
			func(d api.Drift) bool { return d.Machine == backup && d.Reason == api.DriftMachineConflict })
	}
	i.await("pc", "in conflict about the copy", told)
	for range 2 { // a requested repair terminates nothing either
		i.try("reconcile", "pc", "--wait", "--timeout", "20s")
	}
	if c := i.cluster("pc"); !told(c) || c.Status.Phase != api.PhaseReady || len(c.Status.Repairs) > 0 {
		t.Errorf("%s, drift %+v, repairs %+v", c.Status.Phase, c.Status.Drift, c.Status.Repairs)
	}
	runs("the server", server)
	runs("the copy", backup)
	i.kubectl("pc", "get", "nodes")

	r := i.run("delete", "cluster", "pc", "--yes", "--wait")
	if !strings.Contains(r.stderr, backup) {
		t.Errorf("the delete does not name the remaining copy: %s%s", r.stdout, r.stderr)
	}
	if _, err := i.docker.ContainerInspect(context.Background(), server); err == nil {
		t.Error("the head still exists after the delete")
	}
	if r := i.run("get", "orphans"); !strings.Contains(r.stdout, "skyctl delete orphans "+backup) {
		t.Errorf("orphans:\n%s", r.stdout)
	}
	i.try("delete", "orphans", "--yes")
	runs("the copy that nobody named", backup)
	i.run("delete", "orphans", backup, "--yes")
	if _, err := i.docker.ContainerInspect(context.Background(), backup); err == nil {
		t.Error("the copy still exists, although it was named")
	}
}

func (i *installation) dockerRun(args ...string) {
	i.t.Helper()
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		i.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// plant starts a container with the labels of a machine.
func (i *installation) plant(name, image string, labels, but map[string]string) {
	i.t.Helper()
	args := []string{"run", "--detach", "--name", name, "--network", i.network, "--entrypoint", "sleep"}
	for key, value := range labels {
		if other, ok := but[key]; ok {
			value = other
		}
		args = append(args, "--label", key+"="+value)
	}
	if out, err := exec.Command("docker", append(args, image, "infinity")...).CombinedOutput(); err != nil {
		i.t.Fatalf("%v\n%s", err, out)
	}
}

func workerCutOff(t *testing.T, i *installation) {
	before := i.inSync("kept")
	i.sh("sky-kept-1", "for p in 6443 9345; do iptables -I OUTPUT -p tcp --dport $p -j DROP; iptables -I FORWARD -p "+
		"tcp --dport $p -j DROP; done")
	after := i.repaired(before, api.ActionReplace, 1)
	if was, is := before.Status.Machines[1].Incarnation, after.Status.Machines[1].Incarnation; was == is {
		t.Errorf("machine 1 still has incarnation %s", is)
	}
}

func headStopped(_ *testing.T, i *installation) {
	before := i.inSync("kept")
	i.sh("sky-kept-0", "systemctl stop rke2-server")
	i.repaired(before, api.ActionRestart, 0)
}

func paused(t *testing.T, i *installation) {
	before := i.inSync("kept")
	i.run("pause", "reconcile", "kept")
	i.sh("sky-kept-2", "systemctl stop rke2-agent")
	i.await("kept", "in drift", func(c api.Cluster) bool { return len(c.Status.Drift) > 0 })
	if out := i.run("get", "clusters").stdout; !strings.Contains(out, "drifted") || !strings.Contains(out, "paused") {
		t.Errorf("get clusters does not show the drift:\n%s", out)
	}
	if n := len(i.cluster("kept").Status.Repairs); n != len(before.Status.Repairs) {
		t.Errorf("%d repairs, %d before it was paused", n, len(before.Status.Repairs))
	}
	i.run("resume", "reconcile", "kept")
	i.repairedOnRequest(before, api.ActionRestart, 2)
}

func headLost(t *testing.T, i *installation) {
	i.inSync("kept")
	if err := i.docker.ContainerRemove(context.Background(), "sky-kept-0",
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	c := i.await("kept", "in ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	if f := c.Status.Failure; f == nil || f.Reason != string(api.DriftHeadLost) ||
		!strings.Contains(f.Message, "delete") {
		t.Errorf("the failure does not say what to do: %+v", c.Status.Failure)
	}
	if n := len(i.hosts("kept")); n != 2 {
		t.Errorf("%d hosts, want the two workers", n)
	}
	i.run("delete", "cluster", "kept", "--yes", "--wait")
}
