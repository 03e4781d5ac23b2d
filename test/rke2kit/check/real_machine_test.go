//go:build hosts

package check

import (
	"fmt"
	"strings"
	"testing"
)

const (
	modes = "/etc/skyctl-test"
	pods  = "/var/log/pods/kube-system_"
)

// ask writes a file that asks a host for a fault.
func ask(h *host, mode, content string) {
	h.t.Helper()
	h.input("mkdir -p "+modes+"; cat >"+modes+"/"+mode, content)
}

func TestNodesHaveWhatThoseOfRKE2Have(t *testing.T) {
	c := newCluster(t)
	head, worker := c.add(), c.add()
	ask(head, "uninitialized", "3600")
	token := startHead(head, "")
	worker.start("agent", agentConfig(head.ip, token, "one", ""))
	head.waitNodes("head", "one")

	const taint = "node.cloudprovider.kubernetes.io/uninitialized"
	taints := func() string {
		out, _ := head.kubectl("get nodes -o jsonpath='{.items[*].spec.taints[*].key}'")
		return out
	}
	if got := taints(); got != taint+" "+taint {
		t.Errorf("taints of new Nodes: %q", got)
	}
	head.run("rm " + modes + "/uninitialized")
	head.wait("initialised Nodes", func() bool { return !strings.Contains(taints(), taint) })

	out, err := head.kubectl(`get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.providerID} ` +
		`{.metadata.finalizers} {.metadata.labels.node\.kubernetes\.io/instance-type}{"\n"}{end}'`)
	const finalizers = `["wrangler.cattle.io/managed-etcd-controller","wrangler.cattle.io/node"]`
	want := fmt.Sprintf("head rke2://head %[1]s rke2\none rke2://one %[1]s rke2", finalizers)
	if err != nil || out != want {
		t.Errorf("nodes, %v:\n%s\nwant\n%s", err, out, want)
	}
	t.Run("static pods request what RKE2's request", func(t *testing.T) { staticPodsRequest(t, head) })
	t.Run("the logs of components are where RKE2 has them", func(t *testing.T) {
		for _, name := range []string{"etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"} {
			head.run("grep -q ' stderr F ' " + pods + name + "-head_*/" + name + "/0.log || [ " + name + " = etcd ]")
		}
		worker.run("test -f " + pods + "kube-proxy-one_*/kube-proxy/0.log")
		head.run("test -s " + dataDir + "/agent/logs/kubelet.log -a -s " + dataDir + "/agent/containerd/containerd.log")
	})
}

func staticPodsRequest(t *testing.T, head *host) {
	want := `cloud-controller-manager-head 100m 128Mi 0
etcd-head 200m 512Mi 0
kube-apiserver-head 250m 1Gi 0
kube-controller-manager-head 200m 256Mi 0
kube-proxy-head 250m 128Mi 0
kube-proxy-one 250m 128Mi 0
kube-scheduler-head 100m 128Mi 0`
	var out string
	head.wait("running static pods", func() bool {
		out, _ = head.kubectl(`get pods -n kube-system --field-selector status.phase=Running -o jsonpath='` +
			`{range .items[*]}{.metadata.name} {.spec.containers[0].resources.requests.cpu} ` +
			`{.spec.containers[0].resources.requests.memory} {.status.containerStatuses[0].restartCount}{"\n"}{end}'`)
		return strings.Count(out, "\n") >= 6
	})
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestRequestedFaults(t *testing.T) {
	c := newCluster(t)
	head, worker := c.add(), c.add()
	ask(head, "pull-fails", "2")
	ask(head, "slow-api", "3600")
	ask(head, "kubelet-exits", kubeletError)
	token := startHead(head, "")
	head.waitLog("rke2-server", "TOOMANYREQUESTS")
	head.wait("two restarts by systemd", func() bool {
		return head.run("systemctl show --property NRestarts --value rke2-server") == "2"
	})
	kubeletExits(t, head, "server")
	if _, err := head.try("test -e " + pods + "etcd-head_*"); err == nil {
		t.Error("etcd was started without a kubelet")
	}
	head.run("rm " + modes + "/kubelet-exits")
	head.waitLog("rke2-server", "Waiting for API server to become available")
	if _, err := head.try("test -e " + pods + "kube-apiserver-head_*"); err == nil {
		t.Error("the apiserver was started")
	}
	head.run("rm " + modes + "/slow-api")
	head.waitNodes("head")

	ask(worker, "kubelet-exits", kubeletError)
	worker.start("agent", agentConfig(head.ip, token, "one", ""))
	kubeletExits(t, worker, "agent")
	worker.run("rm " + modes + "/kubelet-exits")
	head.waitNodes("head", "one")
}

const kubeletError = `E1129 04:00:00.000000 1 run.go:72] "command failed" err="the cause"`

// kubeletExits expects what RKE2 shows of a kubelet that exits.
func kubeletExits(t *testing.T, h *host, role string) {
	t.Helper()
	h.waitLog("rke2-"+role, "Kubelet exited: exit status 1")
	if journal := h.run("journalctl --no-pager -o cat -u rke2-" + role); strings.Contains(journal, "the cause") {
		t.Error("the journal has the cause")
	}
	h.run("grep -q 'the cause' " + dataDir + "/agent/logs/kubelet.log")
	if state := h.active("rke2-" + role); state != "activating" {
		t.Errorf("the unit is %s", state)
	}
}

func TestKubeletRefusesCgroupVersion1(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	if head.run("stat -fc %T /sys/fs/cgroup") == "cgroup2fs" {
		t.Skip("this machine has cgroup version 2")
	}
	head.start("server", fmt.Sprintf("token: the-servers-secret\nnode-name: head\nnode-ip: %s\n", head.ip))
	head.waitLog("rke2-server", "Kubelet exited: exit status 1")
	head.run("grep -q 'cgroup v1' " + dataDir + "/agent/logs/kubelet.log")
	if state := head.active("rke2-server"); state != "activating" {
		t.Errorf("the unit is %s", state)
	}
	head.start("server", "kubelet-arg: [fail-cgroupv1=false]\n"+head.run("cat /etc/rancher/rke2/config.yaml")+"\n")
	head.run("systemctl restart --no-block rke2-server")
	head.waitNodes("head")
}

func TestOnlyServerWhoseNodeIsDeletedLosesItsControlPlane(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	startHead(head, "")
	head.waitNodes("head")
	answers := func() bool {
		_, err := head.kubectl("get --raw /readyz --request-timeout=1s")
		return err == nil
	}
	if out, err := head.kubectl("delete node head --wait=false"); err != nil {
		t.Fatal(out)
	}
	head.waitLog("rke2-server", "Local Node deleted or removed from etcd cluster, cleaning up server static pods")
	head.wait("loss of the API", func() bool { return !answers() })
	if left := head.run("cd " + dataDir + "/agent/pod-manifests; ls"); left != "kube-proxy.yaml" {
		t.Errorf("static pods left: %s", left)
	}
	// Each start brings the API back for a moment only. In it the finalizer can go, and the Node with it.
	head.waitLog("rke2-server", "leaderelection lost for rke2")
	head.wait("a moment after the restart by systemd", func() bool {
		_, err := head.kubectl(`patch node head --type=merge -p '{"metadata":{"finalizers":null}}' --request-timeout=1s`)
		return err == nil
	})
	// If the server saw the Node before, it loses the API once more.
	head.wait("a new Node", func() bool {
		out, err := head.kubectl("get node head -o jsonpath='{.metadata.deletionTimestamp}{.status.conditions[?(@.type==" +
			`"Ready")].status}' --request-timeout=1s`)
		return err == nil && out == "True"
	})
}
