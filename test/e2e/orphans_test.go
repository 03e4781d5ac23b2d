package e2e

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// TestSweepsChangeOnlyWhatIsTheirs has two clusters at the same time, one of which was recorded and forgotten, and
// machines that belong to neither.
func TestSweepsChangeOnlyWhatIsTheirs(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	i.run("server", "start")
	i.runScenes("own", []scene{
		{"a sweep starts an abandoned create, beside another create", startForgotten},
		{"a sweep completes an abandoned delete, and leaves the other cluster alone", deleteForgotten},
		{"a create whose machine's name is taken ends in ERROR, and the machine stays", nameTaken},
		{"orphans are listed and terminated, and strangers are not", orphansTerminated},
		{"a copy of the server is not changed, nor is the server", serverCopied},
	})
}

func startForgotten(i *installation) {
	s := i.store()
	long := time.Now().Add(-time.Hour).UTC()
	spec := api.GroupSpec{Manager: "k8", Cloud: "docker", CPUs: "2+", Memory: "4", NumNodes: 1, Provision: true}
	if _, err := s.CreateCluster(i.t.Context(), api.NewCluster("forgotten", "uid-of-forgotten", spec, nil,
		long)); err != nil {
		i.t.Fatal(err)
	}
	if r := i.create("own", "--num_nodes", "2"); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	for name, machines := range map[string]int{"forgotten": 1, "own": 2} {
		i.awaitReady(name)
		if n := len(i.hosts(name)); n != machines {
			i.t.Errorf("%d hosts of %s, want %d", n, name, machines)
		}
		if nodes := i.kubectl(name, "get", "nodes", "--no-headers"); strings.Count(nodes, " Ready ") != machines ||
			strings.Count(nodes, "\n") != machines {
			i.t.Errorf("%s has not just %d Ready nodes:\n%s", name, machines, nodes)
		}
	}
}

func deleteForgotten(i *installation) {
	forgotten := i.cluster("forgotten")
	if _, err := i.store().UpdateCluster(i.t.Context(), forgotten.Ref(), func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseDeleting, "DeleteRequested", time.Now().UTC())
		return nil
	}); err != nil {
		i.t.Fatal(err)
	}
	i.holds("the cluster is gone", func() bool {
		return i.try("get", "cluster", "forgotten").code != 0 && len(i.hosts("forgotten")) == 0
	})
	if n := len(i.hosts("own")); n != 2 {
		i.t.Errorf("%d hosts of the other cluster, want 2", n)
	}
}

// nameTaken has a container with the name of a machine.
func nameTaken(i *installation) {
	image := i.hosts("own")[0].Image
	if out, err := exec.Command("docker", "create", "--name", "sky-taken-1", image).CombinedOutput(); err != nil {
		i.t.Fatalf("%v\n%s", err, out)
	}
	i.t.Cleanup(func() {
		_ = i.docker.ContainerRemove(context.Background(), "sky-taken-1",
			container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if r := i.create("taken", "--num_nodes", "2", "--wait"); r.code != 1 ||
		!strings.Contains(r.stderr+r.stdout, "sky-taken-1") {
		i.t.Errorf("exit %d, want 1 naming the machine\n%s", r.code, r.stderr)
	}
	c := i.cluster("taken")
	if c.Status.Phase != api.PhaseError || c.Status.Failure == nil || c.Status.Failure.Reason != "Conflict" {
		i.t.Errorf("phase %s, failure %+v", c.Status.Phase, c.Status.Failure)
	}
	if n := len(i.hosts("taken")); n != 0 {
		i.t.Errorf("%d machines left", n)
	}
	i.run("delete", "cluster", "taken", "--yes", "--wait")
	if _, err := i.docker.ContainerInspect(context.Background(), "sky-taken-1"); err != nil {
		i.t.Errorf("the foreign container was changed: %v", err)
	}
}

func orphansTerminated(i *installation) {
	host, err := i.docker.ContainerInspect(context.Background(), "sky-own-0")
	if err != nil {
		i.t.Fatal(err)
	}
	i.run("pause", "reconcile") // otherwise a sweep terminates the orphan first
	// With another machine's incarnation it would be a copy of that machine.
	gone := func(index, incarnation string) map[string]string {
		return map[string]string{
			"skyctl-cluster": "gone", "skyctl-cluster-uid": "uid-of-gone", "skyctl-index": index,
			"skyctl-incarnation": incarnation,
		}
	}
	i.plant("sky-gone-0", host.Config.Image, host.Config.Labels, gone("0", "gone0"))
	strangers := map[string]string{"skyctl-installation": "somebody-else", "skyctl-cluster": "gone",
		"skyctl-cluster-uid": "uid-of-gone"}
	i.plant("sky-strangers-0", host.Config.Image, host.Config.Labels, strangers)
	i.t.Cleanup(func() {
		_ = i.docker.ContainerRemove(context.Background(), "sky-strangers-0",
			container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	out := i.run("get", "orphans").stdout
	if !strings.Contains(out, "sky-gone-0") || strings.Contains(out, "sky-strangers-0") ||
		strings.Contains(out, "sky-own-0") {
		i.t.Errorf("orphans:\n%s", out)
	}
	i.run("delete", "orphans", "--yes")
	if n := len(i.hosts("gone")); n != 1 { // the machine of another installation
		i.t.Errorf("%d hosts of the deleted cluster, want 1", n)
	}
	i.plant("sky-gone-1", host.Config.Image, host.Config.Labels, gone("1", "gone1"))
	i.run("resume", "reconcile")
	eventually.Holds(i.t, "the orphan is removed by a sweep", func() bool { return len(i.hosts("gone")) == 1 })
	if events := i.run("get", "events").stdout; !strings.Contains(events, "OrphanTerminated") {
		i.t.Errorf("no OrphanTerminated event:\n%s", events)
	}
	if n := len(i.hosts("own")); n != 2 {
		i.t.Errorf("%d hosts of the cluster, want 2", n)
	}
}

// serverCopied uses docker commit and docker run, which also copy a machine's labels. It deletes the cluster.
func serverCopied(i *installation) {
	original, err := i.docker.ContainerInspect(i.t.Context(), "sky-own-0")
	if err != nil {
		i.t.Fatal(err)
	}
	server := original.ID
	backup := strings.ToLower("backup-" + i.network)
	i.dockerRun("commit", "sky-own-0", backup)
	i.t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", backup).Run() })
	i.dockerRun("run", "--detach", "--name", backup, "--entrypoint", "sleep", backup, "3000")
	i.t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", "--volumes", backup).Run() })
	runs := func(what, id string) {
		i.t.Helper()
		if got, err := i.docker.ContainerInspect(context.Background(), id); err != nil || !got.State.Running {
			i.t.Errorf("%s is not running: %v", what, err)
		}
	}

	told := func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Drift,
			func(d api.Drift) bool { return d.Machine == backup && d.Reason == api.DriftMachineConflict })
	}
	i.await("own", "in conflict about the copy", told)
	for range 2 { // a requested repair terminates nothing either
		i.try("reconcile", "own", "--wait", "--timeout", "20s")
	}
	if c := i.cluster("own"); !told(c) || c.Status.Phase != api.PhaseReady || len(c.Status.Repairs) > 0 {
		i.t.Errorf("%s, drift %+v, repairs %+v", c.Status.Phase, c.Status.Drift, c.Status.Repairs)
	}
	runs("the server", server)
	runs("the copy", backup)
	i.kubectl("own", "get", "nodes")

	r := i.run("delete", "cluster", "own", "--yes", "--wait")
	if !strings.Contains(r.stderr, backup) {
		i.t.Errorf("the delete does not name the remaining copy: %s%s", r.stdout, r.stderr)
	}
	if _, err := i.docker.ContainerInspect(context.Background(), server); err == nil {
		i.t.Error("the head still exists after the delete")
	}
	if r := i.run("get", "orphans"); !strings.Contains(r.stdout, "skyctl delete orphans "+backup) {
		i.t.Errorf("orphans:\n%s", r.stdout)
	}
	i.try("delete", "orphans", "--yes")
	runs("the copy that nobody named", backup)
	i.run("delete", "orphans", backup, "--yes")
	if _, err := i.docker.ContainerInspect(context.Background(), backup); err == nil {
		i.t.Error("the copy still exists, although it was named")
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
