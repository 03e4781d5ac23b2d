package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/test/eventually"
)

// gpuWorld is an installation with a SkyPilot whose AWS has machines with accelerators: Docker hosts with a real
// kubelet that seem to run NVIDIA's driver. The kit's stand-ins for NVIDIA's charts come from a repository of the test.
type gpuWorld struct {
	*skyWorld
	charts *chartRepo
	values string // the file with the values for the operator's chart
}

// gpuCluster has two machines with four accelerators each.
const gpuCluster = "gpu"

func newGPUs(t *testing.T) *gpuWorld {
	t.Helper()
	w := &gpuWorld{skyWorld: newSky(t), values: filepath.Join(t.TempDir(), "values.yaml")}
	w.charts = serveCharts(t, w.skyWorld)
	w.installation.env = append(w.installation.env, "SKYCTL_GPU_CHART_REPO="+w.charts.url, "SKYCTL_GPU_VALUES_FILE="+
		w.values,
		"SKYCTL_RECONCILE_INTERVAL=5s", "SKYCTL_RECONCILE_NOT_READY_FOR=30s")
	return w
}

// chartRepo is the kit's chart repository, served to the machines.
type chartRepo struct {
	url string
	// down closes every connection without an answer; without is a version that the index leaves out.
	down    atomic.Bool
	without atomic.Value
}

func serveCharts(t *testing.T, w *skyWorld) *chartRepo {
	t.Helper()
	gateway, err := w.env.ReadGatewayAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(mustEnv(t, "SKYCTL_TEST_RKE2"), "charts")
	if _, err := os.Stat(filepath.Join(dir, "index.yaml")); err != nil {
		t.Fatalf("the release has no chart repository: %v", err)
	}
	r := &chartRepo{url: "http://" + listener.Addr().String()}
	r.without.Store("")
	files := http.FileServer(http.Dir(dir))
	server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, req *http.Request) {
		without := r.without.Load().(string)
		switch {
		case r.down.Load():
			panic(http.ErrAbortHandler)
		case without != "" && req.URL.Path == "/index.yaml":
			index, err := os.ReadFile(filepath.Join(dir, "index.yaml"))
			if err != nil {
				http.Error(out, err.Error(), http.StatusInternalServerError)
				return
			}
			_, _ = out.Write([]byte(strings.ReplaceAll(string(index), without, "v1.0.0")))
		default:
			files.ServeHTTP(out, req)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

// restart restarts skyd with other settings and other values for the operator's chart.
func (w *gpuWorld) restart(values string, settings ...string) {
	w.t.Helper()
	w.set(values, settings...)
	w.run("server", "stop")
}

func (w *gpuWorld) set(values string, settings ...string) {
	w.t.Helper()
	if err := os.WriteFile(w.values, []byte(values), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.installation.env = append(w.installation.env, settings...) // the last value of a name counts
}

// onMachine runs a script on the machine with an index.
func (w *gpuWorld) onMachine(index int, script string) string {
	w.t.Helper()
	id := w.cluster(gpuCluster).Status.Machines[index].CloudID
	machines, err := w.env.ListMachines(context.WithoutCancel(w.t.Context()))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range machines {
		if m.Name == id {
			out, err := exec.Command("docker", "exec", m.Container, "sh", "-c", script).CombinedOutput()
			if err != nil {
				w.t.Fatalf("on machine %d: %s: %v\n%s", index, script, err, out)
			}
			return string(out)
		}
	}
	w.t.Fatalf("no machine %s: %+v", id, machines)
	return ""
}

func (w *gpuWorld) apply(manifest string) {
	w.t.Helper()
	file := filepath.Join(filepath.Dir(w.values), "apply.yaml") // kubectl would read a comma in the path as two files
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.kubectl(gpuCluster, "apply", "-f", file)
}

// shows waits until a condition of kubectl's output holds.
func (w *gpuWorld) shows(what string, holds func(out string) bool, args ...string) {
	w.t.Helper()
	w.holds(what, func() bool { return holds(strings.TrimSpace(w.kubectl(gpuCluster, args...))) })
}

func is(want string) func(string) bool { return func(out string) bool { return out == want } }

// TestAcceleratorsAreOfferedToPods takes longer than any other test, so it should start first: tests that run in
// parallel start with the one in the first file.
func TestAcceleratorsAreOfferedToPods(t *testing.T) {
	needsKit(t, "it has the stand-ins for NVIDIA's software")
	t.Parallel()
	w := newGPUs(t)
	// A part of the operator that takes longer than the deadline, which is short here.
	w.set(`{toolkit: {env: [{name: SKYCTL_TEST_SLOW_SECONDS, value: "3600"}]}}`, "SKYCTL_GPU_TIMEOUT=40s")
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"a chart repository out of reach", w.repoUnreachable},
		{"a version that the repository does not have", w.badVersion},
		{"a driver on one machine only", w.driverDiffers},
		{"a second device plugin", w.secondPlugin},
		{"an operator that is too slow", w.tooSlow},
		{"a DaemonSet that crashes on one node", w.crashing},
		{"what was mended is READY at the next reconcile", w.mended},
		{"pods get what they ask for, and nobody more than there is", w.pods},
		{"people see what there is", w.seen},
		{"SkyPilot may use the cluster, and knows its accelerators", w.skyPilotSees},
		{"the release is removed", w.releaseRemoved},
		{"the release is edited", w.releaseEdited},
		{"the device plugin is deleted", w.pluginDeleted},
		{"accelerators are gone from a machine", w.allocatableGone},
		{"a worker is replaced", w.workerReplaced},
	} {
		w.part(t, part.name, part.test)
		if t.Failed() {
			t.FailNow() // each part continues from the state of the one before
		}
	}
	w.delete(t, gpuCluster)
}

// fails creates the cluster, or resumes it, and checks that it ends in ERROR for a reason, whole except for its
// accelerators.
func (w *gpuWorld) fails(t *testing.T, reason string, says ...string) {
	t.Helper()
	var r result
	var c api.Cluster
	eventually.HoldsWithin(t, 2*patience, "the create fails for the expected reason", func() bool {
		r = w.tryFor(10*time.Minute, "create", "cluster", gpuCluster, "--provision", "--cloud", "aws", "--accelerators",
			"v100:4", "--num_nodes", "2", "--wait")
		c = w.cluster(gpuCluster)
		// A repair may still be running, and the fault may not have shown before the deadline.
		late := c.Status.Failure != nil && c.Status.Failure.Reason == gpu.Deadline &&
			(reason != gpu.Deadline || !strings.Contains(c.Status.Failure.Message, says[len(says)-1]))
		return r.code != 3 && !late
	})
	described := w.run("describe", "cluster", gpuCluster).stdout
	f := c.Status.Failure
	if r.code != 1 || c.Status.Phase != api.PhaseError || f == nil || f.Step != api.StepGPU || f.Reason != reason {
		t.Fatalf("create: exit %d, %s, failure %+v\n%s%s%s", r.code, c.Status.Phase, f, r.stdout, r.stderr, described)
	}
	for _, words := range says {
		if !strings.Contains(described, words) {
			t.Errorf("describe does not show %q:\n%s", words, described)
		}
		if message, _, _ := strings.Cut(words, "\n"); !strings.Contains(r.stderr, message) {
			t.Errorf("create does not show %q:\n%s", words, r.stderr)
		}
	}
	machines, err := w.env.ListMachines(t.Context())
	if err != nil || len(machines) != 2 {
		t.Errorf("%d machines, %v; want them kept", len(machines), err)
	}
	if n := strings.Count(w.kubectl(gpuCluster, "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		t.Errorf("%d nodes Ready, want 2", n)
	}
}

func (w *gpuWorld) repoUnreachable(t *testing.T) {
	w.charts.down.Store(true)
	w.fails(t, gpu.ChartUnreachable, "HelmChart kube-system/gpu-operator", w.charts.url)
	w.charts.down.Store(false)
}

func (w *gpuWorld) badVersion(t *testing.T) {
	w.charts.without.Store("v26.3.2")
	w.fails(t, gpu.BadChartVersion, "HelmChart kube-system/gpu-operator", "v26.3.2")
	w.charts.without.Store("")
}

// driverDiffers shows the accelerators of a machine without a driver on the PCI bus, as the kernel does.
func (w *gpuWorld) driverDiffers(t *testing.T) {
	w.onMachine(1, `mv /usr/local/bin/nvidia-smi /root/ && mount -t tmpfs tmpfs /sys/bus/pci/devices &&
cd /sys/bus/pci/devices &&
for i in 0 1 2 3; do mkdir gpu$i && echo 0x10de >gpu$i/vendor && echo 0x030200 >gpu$i/class; done`)
	w.fails(t, gpu.DriverDiffers, "sky-gpu-0", "sky-gpu-1", "driver")
	w.onMachine(1, "umount /sys/bus/pci/devices && mv /root/nvidia-smi /usr/local/bin/")
}

func (w *gpuWorld) secondPlugin(t *testing.T) {
	w.apply(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: nvidia-device-plugin-daemonset, namespace: kube-system}
spec:
  selector: {matchLabels: {name: nvidia-device-plugin-ds}}
  template:
    metadata: {labels: {name: nvidia-device-plugin-ds}}
    spec:
      nodeSelector: {runs: nowhere}
      containers:
      - name: ctr
        image: nvcr.io/nvidia/k8s-device-plugin:v0.17.1
        volumeMounts: [{name: plugins, mountPath: /var/lib/kubelet/device-plugins}]
      volumes: [{name: plugins, hostPath: {path: /var/lib/kubelet/device-plugins}}]
`)
	// A reconcile retries as a create does; its failure then is the reason for ERROR.
	c := w.reconciled("in ERROR for the second device plugin", func(c api.Cluster) bool {
		return c.Status.Failure != nil && c.Status.Failure.Reason == gpu.SecondDevicePlugin
	})
	if f := c.Status.Failure; c.Status.Phase != api.PhaseError || f.Step != api.StepGPU ||
		!strings.Contains(f.Message, "DaemonSet kube-system/nvidia-device-plugin-daemonset") {
		t.Errorf("%s, failure %+v", c.Status.Phase, f)
	}
	w.kubectl(gpuCluster, "-n", "kube-system", "delete", "daemonset", "nvidia-device-plugin-daemonset")
}

func (w *gpuWorld) tooSlow(t *testing.T) {
	w.fails(t, gpu.Deadline, "the GPU stack was not ready in time", "nvidia-container-toolkit-daemonset 0/2")
}

func (w *gpuWorld) crashing(t *testing.T) {
	w.restart("{}")
	w.onMachine(1, "echo 'Error: the GPU has fallen off the bus' >/etc/skyctl-test/crash-device-plugin")
	w.fails(t, gpu.PodFailing, "DaemonSet gpu-operator/nvidia-device-plugin-daemonset",
		"container nvidia-device-plugin",
		w.cluster(gpuCluster).Status.Machines[1].NodeName, "Error: the GPU has fallen off the bus")
	w.onMachine(1, "rm /etc/skyctl-test/crash-device-plugin")
}

// mended: like NVIDIA's toolkit, its stand-in restarts RKE2 on each node.
func (w *gpuWorld) mended(t *testing.T) {
	w.restart("{}", "SKYCTL_GPU_TIMEOUT=5m")
	for index := range 2 {
		w.onMachine(index, "touch /etc/skyctl-test/restart-rke2")
	}
	c := w.reconciled("READY", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseReady })
	if ready := c.Status.FindCondition(api.GPUReady); ready == nil || ready.Status != api.ConditionTrue {
		t.Errorf("READY with %+v", ready)
	}
	for _, r := range c.Status.Repairs {
		if r.Action.Kind != api.ActionGPU {
			t.Errorf("the toolkit's change was reported as drift: %+v", r)
		}
	}
}

// pods checks that a pod that fits runs and sees its accelerators, that one that does not fit waits, and that no node
// runs two device plugins.
func (w *gpuWorld) pods(t *testing.T) {
	pod := func(name string, count int, image string) string {
		return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  restartPolicy: Never
  containers: [{name: main, image: %q, imagePullPolicy: Never, resources: {limits: {nvidia.com/gpu: %d}}}]
---`, name, image, count)
	}
	w.apply(pod("fits", 1, chart.DefaultTestImage) + pod("stays", 3, kitImage) + pod("too-much", 5,
		chart.DefaultTestImage))
	w.shows("the pod that fits ends well", is("Succeeded"), "get", "pod", "fits", "-o", "jsonpath={.status.phase}")
	if log := w.kubectl(gpuCluster, "logs", "fits"); !strings.Contains(log, "on GPU-") {
		t.Errorf("the pod does not see an accelerator:\n%s", log)
	}
	w.shows("the pod that asks for three of them runs", is("Running"), "get", "pod", "stays", "-o",
		"jsonpath={.status.phase}")
	w.shows("the pod that asks for too much has been looked at", func(out string) bool {
		return strings.HasPrefix(out, "Pending") && strings.Contains(out, "Insufficient nvidia.com/gpu")
	}, "get", "pod", "too-much", "-o", "jsonpath={.status.phase} {.status.conditions[0].message}")
	if sets := w.kubectl(gpuCluster, "get", "daemonsets", "-A", "-o", "name"); strings.Count(sets,
		"device-plugin") != 1 {
		t.Errorf("not just one device plugin:\n%s", sets)
	}
	labels := w.kubectl(gpuCluster, "get", "nodes", "-l",
		"skyctl.sky-shift.org/accelerator=V100,skypilot.co/accelerator=v100", "-o", "name")
	if strings.Count(labels, "node/") != 2 {
		t.Errorf("nodes with the label of the accelerator:\n%s", labels)
	}
}

// seen: one pod uses three of the eight accelerators.
func (w *gpuWorld) seen(t *testing.T) {
	w.holds("RESOURCES shows the free accelerators", func() bool {
		return strings.Contains(w.run("get", "clusters").stdout, "V100: 5.0/8.0")
	})
	said := w.run("describe", "cluster", gpuCluster).stdout
	words := []string{"GPUReady", "580.126.20", "v26.3.2"}
	for _, m := range w.cluster(gpuCluster).Status.Machines {
		words = append(words, m.NodeName)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("describe does not show %q:\n%s", word, said)
		}
	}
	c := w.cluster(gpuCluster)
	plugin := w.kubectl(gpuCluster, "-n", "gpu-operator", "get", "daemonset", "nvidia-device-plugin-daemonset", "-o",
		"jsonpath={..image}")
	if v := c.Status.Versions.GPUPlugin; v == "" || !strings.Contains(plugin, v) || !strings.Contains(said, v) {
		t.Errorf("the device plugin is %q, its image is %s", v, plugin)
	}
	if len(c.Status.GPUs) != 2 || slices.ContainsFunc(c.Status.GPUs,
		func(n api.NodeGPUs) bool { return n.Expected != 4 || n.Offered != 4 }) {
		t.Errorf("the nodes offer %+v", c.Status.GPUs)
	}
	w.kubectl(gpuCluster, "delete", "pod", "fits", "stays", "too-much", "--now")
}
