package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
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
	i.watchOften()
	return i
}

// watchOften has the next skyd sweep often, and wait for little before a repair.
func (i *installation) watchOften() {
	i.env = append(slices.Clone(i.env), "SKYCTL_RECONCILE_INTERVAL=5s", "SKYCTL_RECONCILE_NOT_READY_FOR="+
		eventually.Patience(15*time.Second).String(), "SKYCTL_RECONCILE_ORPHAN_GRACE=5s")
}

func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	if r := i.create("kept", "--num_nodes", "3", "--on_server_loss", "wait", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// Each kind of repair is used once per machine, because the second one is delayed by minutes; otherwise the test
	// calls hurry.
	i.runScenes("kept", []scene{
		{"the kubeconfig file is removed", kubeconfigRemoved},
		{"a worker's network to the head is cut", workerCutOff},
		{"the SSH key and the agents' token are lost", keysLost},
		{"a worker is lost, and replaced with the new key and token", workerLost},
		{"there is a machine too many", machineTooMany},
	})
	// This is a restart's time too. On a busy computer a restarted head took 23 s until its API was ready.
	i.env = append(i.env, "SKYCTL_RECONCILE_NOT_READY_FOR="+eventually.Patience(30*time.Second).String())
	i.run("server", "restart")
	i.runScenes("kept", []scene{
		{"a Node is deleted by hand", nodeDeleted},
		{"a machine is stopped from outside", machineStopped},
		{"the credentials end soon", credentialsEndSoon},
		{"RKE2 is stopped on the head", headStopped},
		{"the head's Node is deleted by hand", headNodeDeleted},
		{"RKE2 is stopped on a worker while repairs are paused", stoppedWhilePaused},
		{"the head is lost", headLost},
	})
}

// inSync waits until a cluster is in sync, and checks that with the Docker engine and the API.
func (i *installation) inSync(name string) api.Cluster {
	i.t.Helper()
	c := i.await(name, "in sync", func(c api.Cluster) bool {
		in := c.Status.FindCondition(api.InSync)
		open := slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool { return r.Ended.IsZero() })
		return c.Status.Phase == api.PhaseReady && len(c.Status.Drift) == 0 && in != nil &&
			in.Status == api.ConditionTrue && !open
	})
	machines := c.Spec.MachineCount()
	if n := len(i.hosts(name)); n != machines {
		i.t.Errorf("%d hosts, want %d", n, machines)
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
	i.holds("all nodes are Ready", func() bool {
		return strings.Count(i.kubectl(name, "get", "nodes", "--no-headers"), " Ready ") == machines
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

func kubeconfigRemoved(i *installation) {
	path := filepath.Join(i.dir, "clusters", "kept", "kubeconfig")
	before, err := os.ReadFile(path)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		i.t.Fatal(err)
	}
	eventually.Holds(i.t, "the kubeconfig is restored", func() bool {
		now, err := os.ReadFile(path)
		return err == nil && bytes.Equal(now, before)
	})
	i.inSync("kept")
}

func workerLost(i *installation) {
	before := i.inSync("kept")
	if err := i.docker.ContainerRemove(context.Background(), "sky-kept-2",
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		i.t.Fatal(err)
	}
	after := i.repaired(before, api.ActionReplace, 2)
	if was, is := before.Status.Machines[2].Incarnation, after.Status.Machines[2].Incarnation; was == is {
		i.t.Errorf("machine 2 still has incarnation %s", is)
	}
	if secrets := i.kubectl("kept", "get", "secrets", "-n", "kube-system"); strings.Contains(secrets,
		before.Status.Machines[2].NodeName) {
		i.t.Errorf("the lost Node's secret still exists:\n%s", secrets)
	}
}

func nodeDeleted(i *installation) {
	before := i.inSync("kept")
	i.kubectl("kept", "delete", "node", before.Status.Machines[1].NodeName)
	i.await("kept", "reported to lack a Node", func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool { return d.Reason == api.DriftNodeMissing })
	})
	i.repairedOnRequest(before, api.ActionRestart, 1)
}

// headNodeDeleted deletes the Node of the only server, which removes its control plane.
func headNodeDeleted(i *installation) {
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
		i.t.Errorf("the Node is still the one that was deleted")
	}
	i.kubectl("kept", "get", "configmap", "before")
}

func machineStopped(i *installation) {
	before := i.inSync("kept")
	if err := i.docker.ContainerStop(context.Background(), "sky-kept-2", container.StopOptions{}); err != nil {
		i.t.Fatal(err)
	}
	after := i.repaired(before, api.ActionStartMachine, 2)
	if was, is := before.Status.Machines[2], after.Status.Machines[2]; was.Incarnation != is.Incarnation ||
		was.Address != is.Address {
		i.t.Errorf("machine 2 was %s at %s and is %s at %s", was.Incarnation, was.Address, is.Incarnation, is.Address)
	}
}

func machineTooMany(i *installation) {
	before := i.inSync("kept")
	host, err := i.docker.ContainerInspect(context.Background(), "sky-kept-1")
	if err != nil {
		i.t.Fatal(err)
	}
	i.plant("sky-kept-7", host.Config.Image, host.Config.Labels,
		map[string]string{"skyctl-index": "7", "skyctl-incarnation": "extra"})
	i.repaired(before, api.ActionTerminate, 7)
}

func workerCutOff(i *installation) {
	before := i.inSync("kept")
	i.sh("sky-kept-1", "for p in 6443 9345; do iptables -I OUTPUT -p tcp --dport $p -j DROP; iptables -I FORWARD -p "+
		"tcp --dport $p -j DROP; done")
	after := i.repaired(before, api.ActionReplace, 1)
	if was, is := before.Status.Machines[1].Incarnation, after.Status.Machines[1].Incarnation; was == is {
		i.t.Errorf("machine 1 still has incarnation %s", is)
	}
}

func headStopped(i *installation) {
	before := i.inSync("kept")
	i.sh("sky-kept-0", "systemctl stop rke2-server")
	i.repaired(before, api.ActionRestart, 0)
}

// stoppedWhilePaused checks that what happened during a pause is repaired after it.
func stoppedWhilePaused(i *installation) {
	before := i.inSync("kept")
	i.run("pause", "reconcile", "kept")
	i.sh("sky-kept-2", "systemctl stop rke2-agent")
	i.await("kept", "in drift", func(c api.Cluster) bool { return len(c.Status.Drift) > 0 })
	if out := i.run("get", "clusters").stdout; !strings.Contains(out, "drifted") || !strings.Contains(out, "paused") {
		i.t.Errorf("get clusters does not show the drift:\n%s", out)
	}
	if n := len(i.cluster("kept").Status.Repairs); n != len(before.Status.Repairs) {
		i.t.Errorf("%d repairs, %d before it was paused", n, len(before.Status.Repairs))
	}
	i.run("resume", "reconcile", "kept")
	i.repaired(before, api.ActionRestart, 2)
}

func headLost(i *installation) {
	i.inSync("kept")
	if err := i.docker.ContainerRemove(context.Background(), "sky-kept-0",
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		i.t.Fatal(err)
	}
	c := i.await("kept", "in ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	if f := c.Status.Failure; f == nil || f.Reason != string(api.DriftHeadLost) ||
		!strings.Contains(f.Message, "delete") {
		i.t.Errorf("the failure does not say what to do: %+v", c.Status.Failure)
	}
	if n := len(i.hosts("kept")); n != 2 {
		i.t.Errorf("%d hosts, want the two workers", n)
	}
	i.t.Logf("events:\n%s", i.run("get", "events", "kept").stdout)
	i.run("delete", "cluster", "kept", "--yes", "--wait")
}
