package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/api"
)

// shopManifest is a service whose pods are on all machines.
const shopManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
         labelSelector: {matchLabels: {app: shop}}}
      containers: [{{shop}}]
`

// TestClusterIsRestored loses what a cluster can lose, one thing after the other, and skyd's whole directory at last.
// It gets the cluster's state back each time.
func TestClusterIsRestored(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	i.runAndLog(createArguments("vital", "--num_nodes", "2", "--wait")...)
	i.applyText("vital", fillIn(shopManifest, "shop"))
	i.kubectl("vital", "rollout", "status", "deployment/shop", within(podPatience))
	i.putValue("vital", "before", "there")
	i.putValue("vital", "changed", "old")
	i.runScenes("vital", []scene{
		{"a snapshot of the default schedule is kept", keepScheduledSnapshot},
		{"bad requests change nothing", refuseBadRestores},
		{"a good snapshot is proven, and a damaged one is not", verifySnapshots},
		{"the server is lost with its disk", loseServer},
		{"it is restored in place", restoreInPlace},
		{"it is stopped and started", stopAndStart},
		{"skyd and all machines are lost", loseSkydAndMachines},
	})
	i.runAndLog("get", "events", "vital")
	i.runAndLog("delete", "cluster", "vital", "--yes", "--wait")
	i.checkSnapshotsLeft("vital", "first", "last")
}

// keepScheduledSnapshot waits for the first snapshot of the schedule: the next one is due after the test. A later one,
// which a person asks for, is the newest when the server is lost.
func keepScheduledSnapshot(i *installation) {
	i.holds("a scheduled snapshot is kept", func() bool {
		return slices.ContainsFunc(i.snapshots("vital"), func(s api.Snapshot) bool {
			return s.Reason == api.SnapshotScheduled && s.State == api.SnapshotKept
		})
	})
	i.runAndLog("create", "snapshot", "--cluster", "vital", "--name", "first", "--wait")
	i.runAndLog("get", "snapshots", "--cluster", "vital")
}

func loseServer(i *installation) {
	watcher := i.watchConfigMaps("vital")
	watcher.awaitValues(i.t, map[string]string{"before": "there", "changed": "old"})
	i.putValue("vital", "changed", "new")
	i.putValue("vital", "after", "lost")
	watcher.awaitValues(i.t, map[string]string{"changed": "new", "after": "lost"})
	revision := watcher.knownRevision()
	before, running := i.cluster("vital"), i.containersOfPods("vital")

	image := i.hosts("vital")[0].Image
	i.run("pause", "reconcile", "vital") // else the new server may have the address first
	lost := time.Now()
	i.loseMachines("sky-vital-0")
	free := i.takeAddress(before.Status.Machines[0].Address, image)
	i.run("resume", "reconcile", "vital")
	after := i.awaitRestored("vital", lost)
	i.t.Logf("lost to restored: %s", time.Since(lost).Round(time.Second))
	i.checkRestored(after, "first", api.RestoreServerLost)
	for _, m := range after.Status.Machines {
		was := before.FindMachine(m.Name)
		if isNew := was == nil || m.Incarnation != was.Incarnation; isNew != (m.Role == api.RoleHead) {
			i.t.Errorf("%s is a new machine: %t", m.Name, isNew)
		}
	}
	watcher.awaitValues(i.t, map[string]string{"before": "there", "changed": "old", "after": ""})
	watcher.checkRestored(i.t, revision)
	i.checkPodsStayed("vital", running)
	if was, is := before.Status.Machines[0].Address, after.Status.Machines[0].Address; was == is {
		i.t.Errorf("the server has its former address, %s: that workers find it proves nothing", is)
	}
	free()
}

// takeAddress gives the address of a machine that is gone to a container that serves nothing.
func (i *installation) takeAddress(address, image string) (free func()) {
	i.t.Helper()
	name := strings.ToLower(i.network + "-other")
	i.dockerRun("run", "--detach", "--name", name, "--network", i.network, "--ip", address, "--entrypoint", "sleep",
		image, "infinity")
	free = func() { _ = exec.Command("docker", "rm", "--force", "--volumes", name).Run() }
	i.t.Cleanup(free)
	return free
}

func restoreInPlace(i *installation) {
	i.putValue("vital", "after", "lost again")
	watcher := i.watchConfigMaps("vital")
	watcher.awaitValues(i.t, map[string]string{"after": "lost again"})
	revision := watcher.knownRevision()
	before := i.cluster("vital")
	checkEnded := i.startLatePod("vital", before.Status.Machines[1])
	began := time.Now()
	i.runAndLog("restore", "cluster", "vital", "--snapshot", "first", "--yes", "--wait")
	after := i.awaitRestored("vital", began)
	i.checkRestored(after, "first", api.RestoreAsked)
	for _, m := range after.Status.Machines {
		if was := before.FindMachine(m.Name); was == nil || m.Incarnation != was.Incarnation {
			i.t.Errorf("%s is a new machine", m.Name)
		}
	}
	checkEnded()
	watcher.awaitValues(i.t, map[string]string{"before": "there", "after": ""})
	watcher.checkRestored(i.t, revision)
	if old := i.sh("sky-vital-0", "ls -d /var/lib/rancher/rke2/server/db/etcd-old-*"); strings.TrimSpace(old) == "" {
		i.t.Error("the former database is not kept on the machine")
	}
	// What was there before the restore is in a snapshot of its own.
	if !slices.ContainsFunc(i.snapshots("vital"), func(s api.Snapshot) bool {
		return s.Reason == api.SnapshotBeforeRestore && s.State == api.SnapshotKept && !s.TakenAt.Before(began.Add(
			-time.Minute))
	}) {
		i.t.Errorf("no snapshot from before the restore:\n%s", i.run("get", "snapshots").stdout)
	}
}

// putValue writes a ConfigMap.
func (i *installation) putValue(cluster, name, value string) {
	i.t.Helper()
	i.applyText(cluster, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+"}\ndata: {is: "+value+"}\n")
}

func (i *installation) applyText(cluster, manifest string) {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.kubectl(cluster, "apply", "-f", file)
}

// loseMachines removes containers and their volumes.
func (i *installation) loseMachines(names ...string) {
	i.t.Helper()
	for _, name := range names {
		if err := i.docker.ContainerRemove(context.Background(), name,
			container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			i.t.Fatal(err)
		}
	}
}

// awaitRestored waits until a restore that ended after a time has brought the cluster back with all machines Ready.
func (i *installation) awaitRestored(name string, after time.Time) api.Cluster {
	i.t.Helper()
	return i.await(name, "restored", func(c api.Cluster) bool {
		done := c.Status.Restored
		return c.Status.Phase == api.PhaseReady && c.Status.Restore == nil && done != nil && done.At.After(after) &&
			c.Status.Operation == nil && len(c.Status.Drift) == 0 &&
			machinesAt(len(c.Status.Machines), api.MachineReady)(c) &&
			len(c.Status.Machines) == c.Spec.MachineCount()
	})
}

// checkRestored compares a cluster that was restored from a snapshot with what it should be, and what is said of it.
func (i *installation) checkRestored(c api.Cluster, snapshot string, reason api.RestoreReason) {
	i.t.Helper()
	name := c.Metadata.Name
	if done := c.Status.Restored; done.Snapshot != snapshot || done.Reason != reason || done.StateOf.IsZero() ||
		done.Until.Before(done.StateOf) {
		i.t.Errorf("restored: %+v", done)
	}
	got := i.kubectl(name, "get", "configmaps", "-o", `jsonpath={range .items[*]}{.metadata.name}={.data.is} {end}`)
	if !strings.Contains(got, "before=there ") || strings.Contains(got, "after=") {
		i.t.Errorf("the ConfigMaps are %s", got)
	}
	var want []string
	for _, m := range c.Status.Machines {
		want = append(want, m.NodeName)
	}
	slices.Sort(want)
	i.holds("exactly the Nodes "+strings.Join(want, ", ")+" are there, all Ready", func() bool {
		var ready []string
		for line := range strings.Lines(i.kubectl(name, "get", "nodes", "--no-headers")) {
			if fields := strings.Fields(line); fields[1] == "Ready" {
				ready = append(ready, fields[0])
			} else {
				return false
			}
		}
		return slices.Equal(ready, want)
	})
	i.kubectl(name, "rollout", "status", "deployment/shop", within(podPatience))
	if n := len(i.hosts(name)); n != len(c.Status.Machines) {
		i.t.Errorf("%d hosts, want %d", n, len(c.Status.Machines))
	}
	i.checkLossIsTold(c)
}

// containersOfPods returns the container of each pod of the service by the pod's name, on the workers.
func (i *installation) containersOfPods(cluster string) map[string]string {
	i.t.Helper()
	head := i.cluster(cluster).Status.Machines[0].NodeName
	found := map[string]string{}
	for line := range strings.Lines(i.kubectl(cluster, "get", "pods", "-l", "app=shop", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.containerStatuses[0].containerID}`+
			`{"\n"}{end}`)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] != head {
			found[f[0]] = f[2]
		}
	}
	return found
}

// checkPodsStayed fails the test unless pods still run in their containers.
func (i *installation) checkPodsStayed(cluster string, before map[string]string) {
	i.t.Helper()
	after := i.containersOfPods(cluster)
	for pod, id := range before {
		if after[pod] != id {
			i.t.Errorf("pod %s ran in %s and runs in %q", pod, id, after[pod])
		}
	}
	if len(before) == 0 {
		i.t.Error("no pod ran on a worker")
	}
}

// snapshots returns what the command line says of a cluster's snapshots.
func (i *installation) snapshots(cluster string) []api.Snapshot {
	i.t.Helper()
	var list struct{ Items []api.Snapshot }
	out := i.run("get", "snapshots", "--cluster", cluster, "-o", "json").stdout
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		i.t.Fatalf("%v:\n%s", err, out)
	}
	return list.Items
}

func (i *installation) snapshot(cluster, name string) api.Snapshot {
	i.t.Helper()
	for _, s := range i.snapshots(cluster) {
		if s.Name == name {
			return s
		}
	}
	i.t.Fatalf("there is no snapshot %s:\n%s", name, i.run("get", "snapshots").stdout)
	return api.Snapshot{}
}
