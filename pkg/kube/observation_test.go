package kube

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func list(cpu, memory string) corev1.ResourceList {
	l := corev1.ResourceList{}
	if cpu != "" {
		l[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		l[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return l
}

func container(requests corev1.ResourceList) corev1.Container {
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: requests}}
}

func sidecar(requests corev1.ResourceList) corev1.Container {
	c := container(requests)
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

func TestPodRequestsMatchTheScheduler(t *testing.T) {
	for name, tt := range map[string]struct {
		spec        corev1.PodSpec
		cpu, memory string
	}{
		"containers add up": {corev1.PodSpec{Containers: []corev1.Container{container(list("1", "1Gi")),
			container(list("500m", ""))}}, "1500m", "1Gi"},
		"a large init container": {corev1.PodSpec{InitContainers: []corev1.Container{container(list("2", "1Mi"))},
			Containers: []corev1.Container{container(list("1", "1Gi"))}}, "2", "1Gi"},
		"sidecars keep running": {corev1.PodSpec{InitContainers: []corev1.Container{sidecar(list("1", "")),
			container(list("1500m", "")), sidecar(list("250m", ""))},
			Containers: []corev1.Container{container(list("1", "1Gi"))}}, "2500m", "1Gi"},
		"a sidecar after an init": {corev1.PodSpec{InitContainers: []corev1.Container{container(list("1500m", "")),
			sidecar(list("250m", ""))},
			Containers: []corev1.Container{container(list("1", "1Gi"))}}, "1500m", "1Gi"},
		"pod-level requests": {corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: list("3", "")},
			Containers: []corev1.Container{container(list("1", "1Gi"))}}, "3", "1Gi"},
		"overhead": {corev1.PodSpec{Overhead: list("100m", "1Gi"),
			Containers: []corev1.Container{container(list("1", "1Gi"))}}, "1100m", "2Gi"},
		"no requests": {corev1.PodSpec{Containers: []corev1.Container{{}}}, "0", "0"},
	} {
		got, want := podRequests(&corev1.Pod{Spec: tt.spec}), list(tt.cpu, tt.memory)
		if got.Cpu().Cmp(*want.Cpu()) != 0 || got.Memory().Cmp(*want.Memory()) != 0 {
			t.Errorf("%s: got cpu %s, memory %s", name, got.Cpu(), got.Memory())
		}
	}
}

func TestPodRequestsDoNotChangeThePod(t *testing.T) {
	spec := corev1.PodSpec{Containers: []corev1.Container{container(list("1", "1Gi")), container(list("1", "1Gi"))}}
	podRequests(&corev1.Pod{Spec: spec})
	if got := podRequests(&corev1.Pod{Spec: spec}); got.Cpu().String() != "2" {
		t.Errorf("the second count gave %s", got.Cpu())
	}
}

func nodeWith(name, cpu, cpuFree, memory, memoryFree, gpus string) *corev1.Node {
	n := node(name, isReady)
	n.Status.Capacity, n.Status.Allocatable = list(cpu, memory), list(cpuFree, memoryFree)
	n.Status.Capacity[corev1.ResourceEphemeralStorage] = resource.MustParse("100Gi")
	n.Status.Allocatable[corev1.ResourceEphemeralStorage] = resource.MustParse("95Gi")
	if gpus != "" {
		n.Status.Capacity[gpuResource] = resource.MustParse(gpus)
		n.Status.Allocatable[gpuResource] = resource.MustParse(gpus)
	}
	n.Status.NodeInfo.KubeletVersion = "v1.35.7+rke2r1"
	return n
}

func pod(name, node string, phase corev1.PodPhase, requests corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container(
			requests)}}, Status: corev1.PodStatus{Phase: phase}}
}

func near(a api.Amount, available, total float64) bool {
	return math.Abs(a.Available-available) < 1e-6 && math.Abs(a.Total-total) < 1e-6
}

func TestResourcesAreAvailableAndTotal(t *testing.T) {
	gpu := list("1", "")
	gpu[gpuResource] = resource.MustParse("1")
	cs := fake.NewClientset(
		nodeWith("n0", "4", "3900m", "16Gi", "15Gi", ""), nodeWith("n1", "8", "8", "32Gi", "30Gi", "2"),
		nodeWith("stranger", "64", "64", "1Ti", "1Ti", "8"),
		pod("a", "n0", corev1.PodRunning, list("500m", "1Gi")), pod("b", "n1", corev1.PodPending, gpu),
		pod("done", "n0", corev1.PodSucceeded, list("3", "8Gi")),
		pod("failed", "n1", corev1.PodFailed, list("3", "8Gi")),
		pod("waiting", "", corev1.PodPending, list("3", "8Gi")),
		pod("else", "stranger", corev1.PodRunning, list("3", "8Gi")),
	)
	machines := []api.Machine{{NodeName: "n0", Role: api.RoleHead}, {NodeName: "n1", Role: api.RoleWorker},
		{NodeName: "absent", Role: api.RoleWorker}}

	seen, err := ObserveCluster(t.Context(), cs, machines, func(api.Machine) api.Accelerators {
		return api.Accelerators{Name: "A100", Count: 8}
	})
	r, v := seen.Resources, seen.Versions
	if err != nil {
		t.Fatal(err)
	}
	if !near(r.CPUs, 3.4+7, 12) || !near(r.Memory, 14+30, 48) || !near(r.Disk, 190, 200) ||
		!near(r.Accelerators["A100"], 1, 2) {
		t.Errorf("got %+v", r)
	}
	if v.RKE2 != "v1.35.7+rke2r1" || v.Kubernetes != "v1.35.7" {
		t.Errorf("got %+v", v)
	}

	machines[0].CPUs, machines[0].MemoryGiB, machines[0].Placement.DiskGiB = 2, 4, 50
	seen, err = ObserveCluster(t.Context(), cs, machines, noAccelerators)
	r = seen.Resources
	if err != nil || !near(r.CPUs, 1.5+7, 10) || !near(r.Memory, 3+30, 36) || r.Disk.Total != 150 ||
		r.Accelerators != nil {
		t.Errorf("with limits: got %+v, %v", r, err)
	}
}

func TestNodesAreObservedWhenPodsCannotBeListed(t *testing.T) {
	cs := fake.NewClientset(nodeWith("n0", "2", "2", "4Gi", "4Gi", ""))
	cs.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, context.DeadlineExceeded
	})
	seen, err := ObserveCluster(t.Context(), cs, []api.Machine{{NodeName: "n0"}}, noAccelerators)
	if err != nil || !seen.Nodes["n0"].Ready || !errors.Is(seen.Unmeasured, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v", seen, err)
	}
}

func TestOvercommittedNodeHasNothingAvailable(t *testing.T) {
	cs := fake.NewClientset(nodeWith("n0", "2", "2", "4Gi", "4Gi", ""),
		pod("a", "n0", corev1.PodRunning, list("3", "8Gi")))
	seen, err := ObserveCluster(t.Context(), cs, []api.Machine{{NodeName: "n0"}}, noAccelerators)
	r := seen.Resources
	if err != nil || !near(r.CPUs, 0, 2) || !near(r.Memory, 0, 4) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func noAccelerators(api.Machine) api.Accelerators { return api.Accelerators{} }
