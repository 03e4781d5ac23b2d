package e2e

import (
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
	i.checkProviderIDs("cloud-cluster")
	i.checkMirror("cloud-cluster")
	i.checkPrivate("cloud-cluster")
	i.checkPage("cloud-cluster", netip.MustParsePrefix("10.64.0.0/15"))
	i.checkMeasured("cloud-cluster")
	i.checkAccess("cloud-cluster")
	if r := i.run("check", "--cluster", "cloud-cluster"); !strings.Contains(r.stdout, "No machine of cluster") {
		t.Errorf("check of the machines:\n%s", r.stdout)
	}

	i.runScenes("cloud-cluster", []scene{
		{"the same create again is refused with the status", refuseSecondCreate},
		{"a delete leaves nothing", deleteCluster},
		{"a delete while the first machine is launched leaves nothing", func(i *installation) {
			i.deleteDuringCreate("early", machinesPast(1, api.MachineLaunching))
		}},
		{"a delete while two machines are prepared leaves nothing", func(i *installation) {
			i.deleteDuringCreate("late", machinesPast(2, api.MachinePrepared))
		}},
	})
}

func refuseSecondCreate(i *installation) {
	if r := i.create("cloud-cluster", "--num_nodes", "3", "--max_nodes", "500"); r.code != 3 ||
		!strings.Contains(r.stderr, "READY") {
		i.t.Errorf("exit %d, want 3 with the status\n%s", r.code, r.stderr)
	}
	if r := i.create("cloud-cluster", "--num_nodes", "2", "--max_nodes", "500"); r.code != 3 ||
		!strings.Contains(r.stderr, "num_nodes") {
		i.t.Errorf("exit %d, want 3 naming num_nodes\n%s", r.code, r.stderr)
	}
}

func deleteCluster(i *installation) {
	i.run("delete", "cluster", "cloud-cluster", "--yes", "--wait")
	if left := i.hosts(""); len(left) != 0 {
		i.t.Errorf("%d hosts left after delete", len(left))
	}
	if r := i.try("get", "cluster", "cloud-cluster"); r.code != 4 {
		i.t.Errorf("get after delete: exit %d, want 4", r.code)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "clusters", "cloud-cluster")); !os.IsNotExist(err) {
		i.t.Errorf("the cluster's local files are still there (%v)", err)
	}
}

// deleteDuringCreate deletes a cluster of two machines as soon as its create has come to a state.
func (i *installation) deleteDuringCreate(name string, state func(api.Cluster) bool) {
	i.t.Helper()
	if r := i.create(name, "--num_nodes", "2"); r.code != 0 {
		i.t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.awaitPassing(name, name, state)
	i.run("delete", "cluster", name, "--yes", "--wait")
	if n := len(i.hosts(name)); n != 0 {
		i.t.Errorf("%d machines left", n)
	}
	if r := i.try("get", "cluster", name); r.code != 4 {
		i.t.Errorf("get: exit %d, want 4", r.code)
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

// checkProviderIDs checks that the nodes have the provider ids of RKE2's cloud controller.
func (i *installation) checkProviderIDs(cluster string) {
	i.t.Helper()
	out := i.kubectl(cluster, "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.spec.providerID}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		if name, id, _ := strings.Cut(strings.TrimSpace(line), " "); id != "rke2://"+name {
			i.t.Errorf("the provider id of %s is %q, want rke2://%[1]s", name, id)
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
		i.kubectl(cluster, "wait", "--for=condition=Ready", within(podPatience), "pod/"+pod)
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
