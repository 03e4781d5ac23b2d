package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestThreeNodesServePodsAndDeleteLeavesNothing(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.create("cloud-cluster", "--num_nodes", "3", "--max_nodes", "500")
	if r.code != 0 || !strings.Contains(r.stdout, "Created cluster cloud-cluster.") {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !strings.Contains(r.stderr, "http://127.0.0.1:") {
		t.Errorf("the first command did not print the address of the Web UI: %q", r.stderr)
	}
	i.awaitReady("cloud-cluster")

	table := i.run("get", "clusters").stdout
	if !regexp.MustCompile(`^NAME +MANAGER +LABELS +RESOURCES +STATUS +AGE\ncloud-cluster +k8 +cpus: ` +
		`[0-9.]+/6\.0 +READY +[0-9]+[sm]`).MatchString(table) {
		t.Errorf("get clusters:\n%s", table)
	}
	nodes := i.kubectl("cloud-cluster", "get", "nodes", "--no-headers")
	if n := strings.Count(nodes, " Ready "); n != 3 {
		t.Errorf("%d nodes Ready, want 3:\n%s", n, nodes)
	}
	if !regexp.MustCompile(`(?m)^sky-cloud-cluster-0-\w+ +Ready +control-plane,etcd(,master)? `).MatchString(nodes) {
		t.Errorf("the head is not listed with its roles:\n%s", nodes)
	}
	i.checkAllocatable("cloud-cluster")
	i.checkMirror("cloud-cluster")
	i.checkPrivate("cloud-cluster")
	i.checkPage("cloud-cluster", netip.MustParsePrefix("10.64.0.0/15"))
	i.checkMeasured("cloud-cluster")
	i.checkAccess("cloud-cluster")
	if r := i.run("check", "--cluster", "cloud-cluster"); !strings.Contains(r.stdout, "No machine of cluster") {
		t.Errorf("check of the machines:\n%s", r.stdout)
	}

	i.run("delete", "cluster", "cloud-cluster", "--yes", "--wait")
	if left := i.hosts(""); len(left) != 0 {
		t.Errorf("%d hosts left after delete", len(left))
	}
	if r := i.try("get", "cluster", "cloud-cluster"); r.code != 4 {
		t.Errorf("get after delete: exit %d, want 4", r.code)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "clusters", "cloud-cluster")); !os.IsNotExist(err) {
		t.Errorf("the cluster's local files are still there (%v)", err)
	}
}

// kubectl runs plain kubectl with the kubeconfig that skyctl wrote.
func (i *installation) kubectl(cluster string, args ...string) string {
	i.t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(i.dir, "clusters", cluster, "kubeconfig"),
		"PATH="+i.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		i.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkAllocatable checks that nodes offer the requested resources, not those of the computer.
func (i *installation) checkAllocatable(cluster string) {
	i.t.Helper()
	out := i.kubectl(cluster, "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.status.allocatable.cpu} {.status.allocatable.memory}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		var cpu, memory string
		if _, err := fmt.Sscan(line, &cpu, &memory); err != nil {
			i.t.Fatal(err)
		}
		if cpu != "2" || memory != "4194304Ki" && memory != "4Gi" {
			i.t.Errorf("allocatable is cpu %s, memory %s; want 2 and 4 GiB", cpu, memory)
		}
	}
}

// checkPrivate checks that no other user can read anything in the state directory.
func (i *installation) checkPrivate(cluster string) {
	i.t.Helper()
	info, err := os.Stat(filepath.Join(i.dir, "clusters", cluster, "kubeconfig"))
	if err != nil || info.Mode().Perm() != 0o600 {
		i.t.Errorf("kubeconfig: mode %v, error %v", info.Mode(), err)
	}
	err = filepath.WalkDir(i.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // etcd renames files during the walk
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			i.t.Errorf("%s is accessible to other users: %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		i.t.Error(err)
	}
}

// checkPage runs a web server on each node, in the pod network, and fetches a page from each of them, from another
// node.
func (i *installation) checkPage(cluster string, podNetwork netip.Prefix) {
	i.t.Helper()
	for k, node := range strings.Fields(i.kubectl(cluster, "get", "nodes", "-o",
		"jsonpath={.items[*].metadata.name}")) {
		pod := fmt.Sprintf("hello-%d", k)
		overrides, err := json.Marshal(map[string]any{"spec": map[string]any{"nodeName": node}})
		if err != nil {
			i.t.Fatal(err)
		}
		image, pullPolicy := podImage()
		i.kubectl(cluster, "run", pod, "--image", image, "--image-pull-policy", pullPolicy, "--port", podPort,
			"--env", "WHOAMI_PORT_NUMBER="+podPort, "--overrides", string(overrides))
		i.kubectl(cluster, "wait", "--for=condition=Ready", within(90*time.Second), "pod/"+pod)
	}
	for k := range 3 {
		ip := strings.TrimSpace(i.kubectl(cluster, "get", "pod", fmt.Sprintf("hello-%d", k), "-o",
			"jsonpath={.status.podIP}"))
		if address, err := netip.ParseAddr(ip); err != nil || !podNetwork.Contains(address) {
			i.t.Errorf("pod hello-%d has the address %q, not one of %s", k, ip, podNetwork)
		}
		for n := range 3 {
			out, err := i.onHost(fmt.Sprintf("sky-%s-%d", cluster, n), "curl", "-sS", "--max-time", "10",
				"http://"+ip+":"+podPort+"/")
			if err != nil || !strings.Contains(out, fmt.Sprintf("hello-%d", k)) {
				i.t.Errorf("pod hello-%d from machine %d: %v: %s", k, n, err, out)
			}
		}
	}
}

// checkMeasured runs a pod that requests half a core, and waits until the cluster's resources show it.
func (i *installation) checkMeasured(cluster string) {
	i.t.Helper()
	before := i.cluster(cluster).Status.Resources.CPUs
	image, pullPolicy := podImage()
	overrides := fmt.Sprintf(`{"spec":{"containers":[{"name":"eater","image":%q,"imagePullPolicy":%q,`+
		`"resources":{"requests":{"cpu":"500m"}}}]}}`, image, pullPolicy)
	i.kubectl(cluster, "run", "eater", "--image", image, "--overrides", overrides)
	i.await(cluster, "measured again", func(c api.Cluster) bool {
		now := c.Status.Resources.CPUs
		return now.Total == before.Total && now.Available <= before.Available-0.49
	})
}

// onHost runs a command on a Docker host.
func (i *installation) onHost(name string, args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"exec", name}, args...)...).CombinedOutput()
	return string(out), err
}

func TestTeamServersCreateTheSameClusters(t *testing.T) {
	t.Parallel()
	i := newTeam(t)
	if r := i.create("shared", "--num_nodes", "2", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// The worker runs elsewhere, so skyctl writes the kubeconfig from the encrypted store.
	if n := strings.Count(i.kubectl("shared", "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		t.Errorf("%d nodes Ready, want 2", n)
	}
	written, err := os.ReadFile(filepath.Join(i.dir, "clusters", "shared", "kubeconfig"))
	if err != nil || string(written) != i.run("get", "kubeconfig", "shared").stdout {
		t.Errorf("the written kubeconfig is not the printed one (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "skyd.pid")); !os.IsNotExist(err) {
		t.Errorf("skyd dev was started (%v)", err)
	}
	i.checkGateway("shared")
	i.run("delete", "cluster", "shared", "--yes", "--wait")
	if n := len(i.hosts("")); n != 0 {
		t.Errorf("%d hosts left", n)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "clusters", "shared")); !os.IsNotExist(err) {
		t.Errorf("the cluster's local files are still there (%v)", err)
	}
}

func TestTwoClustersProvisionAtTheSameTime(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, name := range []string{"one", "two"} {
		if r := i.create(name, "--num_nodes", "2"); r.code != 0 {
			t.Fatalf("create %s: exit %d\n%s", name, r.code, r.stderr)
		}
	}
	i.awaitReady("one")
	i.awaitReady("two")
	if n := len(i.hosts("")); n != 4 {
		t.Errorf("%d hosts, want 4", n)
	}
}

func TestRepeatedCreateIsRefusedWithTheStatus(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("again"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.awaitReady("again")
	if r := i.create("again"); r.code != 3 || !strings.Contains(r.stderr, "READY") {
		t.Errorf("exit %d, want 3 with the status\n%s", r.code, r.stderr)
	}
	if r := i.create("again", "--num_nodes", "2"); r.code != 3 || !strings.Contains(r.stderr, "num_nodes") {
		t.Errorf("exit %d, want 3 naming num_nodes\n%s", r.code, r.stderr)
	}
}

func TestMachinesOfOthersAreNotChanged(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	// The foreign container uses the host image, which the first cluster builds.
	if r := i.create("first"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.awaitReady("first")
	image := i.hosts("first")[0].Image
	if out, err := exec.Command("docker", "create", "--name", "sky-taken-1", image).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		_ = i.docker.ContainerRemove(context.Background(), "sky-taken-1",
			container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if r := i.create("taken", "--num_nodes", "2", "--wait"); r.code != 1 ||
		!strings.Contains(r.stderr+r.stdout, "sky-taken-1") {
		t.Errorf("exit %d, want 1 naming the machine\n%s", r.code, r.stderr)
	}
	c := i.cluster("taken")
	if c.Status.Phase != api.PhaseError || c.Status.Failure == nil || c.Status.Failure.Reason != "Conflict" {
		t.Errorf("phase %s, failure %+v", c.Status.Phase, c.Status.Failure)
	}
	if n := len(i.hosts("taken")); n != 0 {
		t.Errorf("%d machines left", n)
	}
	i.run("delete", "cluster", "taken", "--yes", "--wait")
	if _, err := i.docker.ContainerInspect(context.Background(), "sky-taken-1"); err != nil {
		t.Errorf("the foreign container was changed: %v", err)
	}
}
