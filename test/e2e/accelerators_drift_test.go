package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// open reports whether a repair is running.
func open(c api.Cluster) bool {
	return slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool { return r.Ended.IsZero() })
}

// reconciled requests a reconcile until the condition holds, and again if an operation was running at the time.
func (w *gpuWorld) reconciled(what string, holds func(api.Cluster) bool) api.Cluster {
	w.t.Helper()
	var asked time.Time
	return w.await(gpuCluster, what, func(c api.Cluster) bool {
		if holds(c) {
			return true
		}
		if !open(c) && time.Since(asked) > askAgain {
			w.try("reconcile", gpuCluster)
			asked = time.Now()
		}
		return false
	})
}

// askAgain is how long a requested repair may take to start.
const askAgain = 10 * time.Second

// inSync waits until every accelerator is offered again. It requests repairs, because the second repair of a kind is
// delayed by minutes. It returns once a repair of the stack that is not in before has succeeded.
func (w *gpuWorld) inSync(before api.Cluster) api.Cluster {
	w.t.Helper()
	known := map[string]bool{}
	for _, r := range before.Status.Repairs {
		known[r.ID] = true
	}
	return w.reconciled("in sync", func(c api.Cluster) bool {
		ready := c.Status.FindCondition(api.GPUReady)
		repaired := slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
			return !known[r.ID] && r.Action.Kind == api.ActionGPU && !r.Ended.IsZero() && r.Error == ""
		})
		return repaired && len(c.Status.Drift) == 0 && !open(c) && c.Status.Phase == api.PhaseReady && ready != nil &&
			ready.Status == api.ConditionTrue
	})
}

// drifted waits until a sweep reports drift of the stack in these words.
func (w *gpuWorld) drifted(words string) {
	w.t.Helper()
	w.await(gpuCluster, "in drift: "+words, func(c api.Cluster) bool {
		told := func(s string) bool { return strings.Contains(s, words) }
		return slices.ContainsFunc(c.Status.Drift,
			func(d api.Drift) bool { return d.Reason == api.DriftGPU && told(d.Message) }) ||
			slices.ContainsFunc(c.Status.Repairs,
				func(r api.Repair) bool { return r.Action.Kind == api.ActionGPU && told(r.Action.Message) })
	})
}

func (w *gpuWorld) releaseRemoved(*testing.T) {
	before := w.cluster(gpuCluster)
	w.kubectl(gpuCluster, "-n", "kube-system", "delete", "helmchart", "gpu-operator", "--wait=false")
	w.drifted("HelmChart kube-system/gpu-operator")
	w.inSync(before)
}

func (w *gpuWorld) releaseEdited(t *testing.T) {
	before := w.cluster(gpuCluster)
	w.kubectl(gpuCluster, "-n", "kube-system", "patch", "helmchart", "gpu-operator", "--type", "merge",
		"-p", `{"spec":{"valuesContent":"devicePlugin: {enabled: false}"}}`)
	w.drifted("devicePlugin.enabled is false, should be true")
	w.inSync(before)
	if values := w.kubectl(gpuCluster, "-n", "kube-system", "get", "helmchart", "gpu-operator", "-o",
		"jsonpath={.spec.valuesContent}"); !strings.Contains(values, "containerd.sock") {
		t.Errorf("its values are\n%s", values)
	}
}

// pluginDeleted stops the operator, which would recreate the DaemonSet.
func (w *gpuWorld) pluginDeleted(*testing.T) {
	before := w.cluster(gpuCluster)
	w.kubectl(gpuCluster, "-n", "gpu-operator", "scale", "deployment", "gpu-operator", "--replicas=0")
	w.kubectl(gpuCluster, "-n", "gpu-operator", "wait", "--for=delete", "pod", "-l", "app=gpu-operator",
		within(podPatience))
	w.kubectl(gpuCluster, "-n", "gpu-operator", "delete", "daemonset", "nvidia-device-plugin-daemonset")
	w.drifted("the DaemonSet of the device plugin in gpu-operator was deleted")
	w.inSync(before)
}

// allocatableGone checks that the machine that lost its accelerators is named, and that failed repairs are retried.
func (w *gpuWorld) allocatableGone(t *testing.T) {
	before := w.cluster(gpuCluster)
	node := before.Status.Machines[1].NodeName
	w.onMachine(1, "cp /etc/skyctl-test/gpus /root/ && echo '0 none none' >/etc/skyctl-test/gpus")
	w.drifted("node " + node + " offers 0 of 4")
	c := w.reconciled("reported to lack accelerators", func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
			return r.Action.Kind == api.ActionGPU && strings.Contains(r.Error, "sky-gpu-1") &&
				strings.Contains(r.Error, "No devices were found")
		})
	})
	if ready := c.Status.FindCondition(api.GPUReady); c.Status.Phase != api.PhaseReady || ready == nil ||
		ready.Status != api.ConditionFalse {
		t.Errorf("%s with %+v", c.Status.Phase, ready)
	}
	w.onMachine(1, "cp /root/gpus /etc/skyctl-test/gpus")
	w.await(gpuCluster, "in sync", func(c api.Cluster) bool {
		ready := c.Status.FindCondition(api.GPUReady)
		return len(c.Status.Drift) == 0 && !open(c) && ready != nil && ready.Status == api.ConditionTrue
	})
}

// workerReplaced checks that the cluster is in sync only after a pod has used an accelerator of the new machine.
func (w *gpuWorld) workerReplaced(t *testing.T) {
	before := w.cluster(gpuCluster)
	was := before.Status.Machines[1]
	instances := w.instances(t, gpuCluster)
	at := slices.IndexFunc(instances, func(i skytest.Instance) bool { return i.ID == was.CloudID })
	if at < 0 {
		t.Fatalf("AWS does not list %s: %+v", was.CloudID, instances)
	}
	if err := w.env.AWS.TerminateInstance(t.Context(), instances[at]); err != nil {
		t.Fatal(err)
	}
	after := w.inSync(before).Status.Machines[1]
	if after.Incarnation == was.Incarnation {
		t.Errorf("machine 1 still has incarnation %s", after.Incarnation)
	}
	verified := w.kubectl(gpuCluster, "get", "node", after.NodeName, "-o",
		`jsonpath={.metadata.annotations.skyctl\.sky-shift\.org/gpu-verified} {.status.allocatable.nvidia\.com/gpu}`)
	if verified != after.Incarnation+" 4" {
		t.Errorf("the new node: %q, want %q", verified, after.Incarnation+" 4")
	}
}
