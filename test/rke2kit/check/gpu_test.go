//go:build hosts

package check

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// serveCharts serves the release's chart repository to the hosts of a cluster, on the address that their network has on
// this machine.
func (c *cluster) serveCharts() string {
	c.t.Helper()
	gateway := strings.TrimSpace(docker(c.t, "network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}}",
		c.network))
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(filepath.Join(c.release, "charts")))}
	go func() { _ = server.Serve(listener) }()
	c.t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// gpus has a host play a machine with so many accelerators.
func (h *host) gpus(n int) {
	h.t.Helper()
	h.run(fmt.Sprintf("mkdir -p /etc/skyctl-test && echo %d >/etc/skyctl-test/gpus", n))
}

// apply applies manifests on a server.
func (h *host) apply(manifests string) {
	h.t.Helper()
	h.input("cat >/tmp/apply.yaml", manifests)
	if out, err := h.kubectl("apply -f /tmp/apply.yaml"); err != nil {
		h.t.Fatal(out)
	}
}

// waitOutput waits until kubectl's answer has this text.
func (h *host) waitOutput(args, text string) {
	h.t.Helper()
	last := ""
	defer func() {
		if h.t.Failed() {
			h.t.Logf("kubectl %s: %s", args, last)
		}
	}()
	h.wait(fmt.Sprintf("%q in kubectl %s", text, args), func() bool {
		last, _ = h.kubectl(args)
		return strings.Contains(last, text)
	})
}

// waitGone waits until kubectl finds nothing.
func (h *host) waitGone(args string) {
	h.t.Helper()
	h.wait("end of "+args, func() bool {
		out, err := h.kubectl("get --ignore-not-found -o name " + args)
		return err == nil && out == ""
	})
}

func helmChart(name, repo, version, values string) string {
	return fmt.Sprintf(`
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: %[1]s, namespace: kube-system}
spec:
  repo: %[2]s
  chart: %[1]s
  version: %[3]s
  targetNamespace: %[1]s
  createNamespace: true
  valuesContent: |
    %[4]s
`, name, repo, version, strings.ReplaceAll(values, "\n", "\n    "))
}

// gpuPod asks for accelerators and says which it got.
func gpuPod(name string, count int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  restartPolicy: Never
  containers:
  - name: check
    image: nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0
    resources: {limits: {nvidia.com/gpu: %d}}
`, name, count)
}

const (
	allocatable = `get node %s -o jsonpath='{.status.allocatable.nvidia\.com/gpu}'`
	policyState = `get clusterpolicy cluster-policy -o jsonpath='{.status.state}'`
)

func TestHelmChartOffersAcceleratorsOnTheirNodes(t *testing.T) {
	c := newCluster(t)
	head, one, two := c.add(), c.add(), c.add()
	one.gpus(2)
	token := startHead(head, "")
	one.start("agent", agentConfig(head.ip, token, "one", ""))
	two.start("agent", agentConfig(head.ip, token, "two", ""))
	head.waitNodes("head", "one", "two")
	repo := c.serveCharts()
	head.apply(helmChart("gpu-operator", repo, "v26.3.2", "driver: {enabled: false}"))

	head.waitOutput(fmt.Sprintf(allocatable, "one"), "2")
	head.waitOutput(policyState, "ready")
	t.Run("only where there are some", func(t *testing.T) { operandsOnlyOn(t, head, "one") })
	t.Run("the HelmChart's status, labels and events", func(t *testing.T) { chartAsInRKE2(t, head) })
	t.Run("pods are given what they ask for", func(t *testing.T) { podsGetAccelerators(t, head) })
	t.Run("a change of the values is an upgrade", func(t *testing.T) {
		head.apply(helmChart("gpu-operator", repo, "v26.3.2", "driver: {enabled: true}"))
		head.waitOutput("-n gpu-operator get secret -l owner=helm,status=deployed -o name", "v2")
		head.waitOutput("-n gpu-operator get ds nvidia-driver-daemonset -o jsonpath='{.status.numberReady}'", "1")
	})
	t.Run("a change of the machine is noticed", func(t *testing.T) {
		one.gpus(3)
		head.waitOutput(fmt.Sprintf(allocatable, "one"), "3")
		two.gpus(1)
		head.waitOutput(fmt.Sprintf(allocatable, "two"), "1")
	})
	t.Run("the toolkit restarts RKE2 once", func(t *testing.T) { toolkitRestarts(t, head, one) })
	t.Run("a release that was removed comes back with the next change", func(t *testing.T) {
		head.run(dataDir + "/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml -n gpu-operator delete secret -l " +
			"owner=helm,name=gpu-operator")
		head.apply(helmChart("gpu-operator", repo, "v26.3.2", "# again\ndriver: {enabled: true}"))
		head.waitOutput("-n gpu-operator get secret -l owner=helm,status=deployed -o name",
			"sh.helm.release.v1.gpu-operator.v1")
	})
	t.Run("a deleted HelmChart takes everything along", func(t *testing.T) {
		if out, err := head.kubectl("-n kube-system delete helmchart gpu-operator --timeout=60s"); err != nil {
			t.Fatal(out)
		}
		head.waitGone("-n gpu-operator secret -l owner=helm")
		head.waitGone("-n gpu-operator daemonset")
		head.waitGone("clusterpolicies.nvidia.com")
		head.waitGone("-n kube-system job -l helmcharts.helm.cattle.io/chart")
		head.waitOutput(fmt.Sprintf(allocatable, "one"), "0")
	})
	t.Run("the device plugin alone", func(t *testing.T) {
		head.apply(helmChart("nvidia-device-plugin", repo, "0.19.2", "gfd: {enabled: false}"))
		head.waitOutput(fmt.Sprintf(allocatable, "one"), "3")
	})
}

func operandsOnlyOn(t *testing.T, head *host, node string) {
	for _, label := range []string{"feature.node.kubernetes.io/pci-10de.present=true", "nvidia.com/gpu.present=true",
		"nvidia.com/gpu.count=2"} {
		head.waitOutput("get node -l "+label+" -o jsonpath='[{.items[*].metadata.name}]'", "["+node+"]")
	}
	for _, name := range []string{
		"nvidia-container-toolkit-daemonset", "nvidia-device-plugin-daemonset", "nvidia-operator-validator",
		"gpu-feature-discovery",
	} {
		out, err := head.kubectl(`-n gpu-operator get pod -l app=` + name +
			` -o jsonpath='[{.items[*].spec.nodeName}]'`)
		if err != nil || out != "["+node+"]" {
			t.Errorf("%s runs on %s, want %s only", name, out, node)
		}
	}
	if out, _ := head.kubectl("-n gpu-operator get ds -o name"); strings.Contains(out, "driver") {
		t.Errorf("there is a driver although it is not enabled: %s", out)
	}
}

func chartAsInRKE2(t *testing.T, head *host) {
	out, err := head.kubectl(`-n kube-system get helmchart gpu-operator -o jsonpath='{.metadata.finalizers[0]} ` +
		`{.status.jobName} {.status.conditions[?(@.type=="JobCreated")].status} ` +
		`{.status.conditions[?(@.type=="Failed")].status}'`)
	if want := "wrangler.cattle.io/on-helm-chart-remove helm-install-gpu-operator True False"; err != nil ||
		out != want {
		t.Errorf("got %s, want %s", out, want)
	}
	head.waitOutput("-n kube-system get job helm-install-gpu-operator -o jsonpath='{.status.succeeded}'", "1")
	head.waitOutput("-n kube-system logs -l helmcharts.helm.cattle.io/chart=gpu-operator", "STATUS: deployed")
	head.waitOutput("-n kube-system get events --field-selector involvedObject.kind=HelmChart", "ApplyJob")
}

func podsGetAccelerators(t *testing.T, head *host) {
	head.apply(gpuPod("fits", 1) + "---" + gpuPod("too-much", 3) + `---
apiVersion: v1
kind: Pod
metadata: {name: none}
spec:
  restartPolicy: Never
  containers: [{name: check, image: "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"}]
`)
	head.waitOutput("get pod fits -o jsonpath='{.status.phase}'", "Succeeded")
	if out, _ := head.kubectl("logs fits"); !strings.Contains(out, "on GPU-") || !strings.Contains(out, "Test PASSED") {
		t.Errorf("the pod says: %s", out)
	}
	head.waitOutput("get pod none -o jsonpath='{.status.phase}'", "Failed")
	head.waitOutput("get pod too-much -o jsonpath='{.status.phase} {.status.conditions[0].message}'",
		"Insufficient nvidia.com/gpu")
	if out, _ := head.kubectl("get pod too-much -o jsonpath='{.status.phase}'"); out != "Pending" {
		t.Errorf("a pod that asks for more than there is is %s", out)
	}
}

func toolkitRestarts(t *testing.T, head, worker *host) {
	before := worker.run("systemctl show --property MainPID --value rke2-agent")
	worker.run("touch /etc/skyctl-test/restart-rke2")
	if out, err := head.kubectl("-n gpu-operator delete pod -l app=nvidia-container-toolkit-daemonset " +
		"--field-selector spec.nodeName=one"); err != nil {
		t.Fatal(out)
	}
	worker.wait("restart", func() bool {
		now, _ := worker.try("systemctl show --property MainPID --value rke2-agent")
		return now != before && now != "0" && worker.active("rke2-agent") == "active"
	})
	worker.wait("runtime in the configuration", func() bool {
		out, _ := worker.try("cat " + dataDir + "/agent/etc/containerd.toml")
		return strings.Contains(out, "/usr/local/nvidia/toolkit/nvidia-container-runtime")
	})
	head.waitOutput(fmt.Sprintf(allocatable, "one"), "3")
	head.apply(strings.Replace(gpuPod("runtime", 1), "spec:\n", "spec:\n  runtimeClassName: nvidia\n  nodeName: one\n",
		1))
	head.waitOutput("get pod runtime -o jsonpath='{.status.phase}'", "Succeeded")
}

func TestFailedHelmChartReportsWhyInItsJob(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	startHead(head, "")
	head.waitNodes("head")
	repo := c.serveCharts()
	logs := "-n kube-system logs -l helmcharts.helm.cattle.io/chart=gpu-operator"

	head.apply(helmChart("gpu-operator", repo, "v9.9.9", ""))
	head.waitOutput(logs, `Error: INSTALLATION FAILED: chart "gpu-operator" matching v9.9.9 not found in `+
		`gpu-operator index`)
	head.apply(helmChart("gpu-operator", "http://"+net.JoinHostPort(head.ip, "9"), "v26.3.2", ""))
	head.waitOutput(logs, "is not a valid chart repository or cannot be reached")

	// As many tries as RKE2's default takes days: with one, the HelmChart counts as failed.
	head.apply(strings.Replace(helmChart("gpu-operator", repo, "v9.9.9", ""), "spec:\n", "spec:\n  backOffLimit: 0\n",
		1))
	head.waitOutput(`-n kube-system get helmchart gpu-operator -o jsonpath='{.status.conditions[?(@.type=="Failed")]}'`,
		"Job has reached configured number of retries without succeeding")
	head.apply(helmChart("gpu-operator", repo, "v25.10.1", ""))
	head.waitOutput(policyState, "ready")
	head.waitOutput("-n gpu-operator get deploy gpu-operator -o jsonpath='{..image}'", "/gpu-operator:v25.10.1")
}

func TestInjectedCrashIsReported(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	head.gpus(1)
	startHead(head, "")
	head.waitNodes("head")
	head.run("echo 2 >/etc/skyctl-test/slow-operator")
	head.apply(helmChart("gpu-operator", c.serveCharts(), "v26.3.2", `driver: {enabled: false}
toolkit:
  env: [{name: SKYCTL_TEST_CRASH_NODE, value: head}, {name: SKYCTL_TEST_CRASH_LINE, value: "Error: no driver here"}]`))
	head.waitOutput("-n gpu-operator get events --field-selector reason=BackOff", "nvidia-container-toolkit-daemonset")
	head.waitOutput("-n gpu-operator logs ds/nvidia-container-toolkit-daemonset", "Error: no driver here")
	head.waitOutput(policyState, "notReady")
	head.waitOutput(`get clusterpolicy cluster-policy -o jsonpath='{.status.conditions[?(@.type=="Error")].message}'`,
		"state-container-toolkit")
}
