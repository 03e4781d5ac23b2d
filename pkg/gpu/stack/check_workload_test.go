package stack

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// kubelet sets the status of each new pod to the next one of ends, and repeats the last one.
func kubelet(c *Client, ends ...corev1.PodStatus) (made *[]*corev1.Pod) {
	made = &[]*corev1.Pod{}
	c.core.(*fake.Clientset).PrependReactor("create", "pods",
		func(action clienttesting.Action) (bool, runtime.Object, error) {
			p := action.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
			p.Status = ends[min(len(*made), len(ends)-1)]
			*made = append(*made, p.DeepCopy())
			return false, nil, nil
		})
	return made
}

func check(stack chart.Stack) Workload {
	return Workload{Node: "a", Incarnation: "x7k2p", Stack: stack}
}

var (
	succeeded = corev1.PodStatus{Phase: corev1.PodSucceeded}
	crashed   = corev1.PodStatus{Phase: corev1.PodFailed,
		ContainerStatuses: []corev1.ContainerStatus{{Name: "check", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, ContainerID: "containerd://1"}}}}}
	rejected = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "UnexpectedAdmissionError",
		Message: "Allocate failed"}
)

func TestWorkloadRunsOncePerIncarnation(t *testing.T) {
	c, _ := cluster(node("a", 8))
	made := kubelet(c, succeeded)
	for range 2 {
		if err := VerifyNode(t.Context(), c, check(chart.Stack{Kind: api.GPUStackOperator}), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(*made) != 1 {
		t.Fatalf("%d pods were created", len(*made))
	}
	n, err := c.core.CoreV1().Nodes().Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || n.Annotations[VerifiedAnnotation] != "x7k2p" {
		t.Errorf("annotations %v, %v", n.Annotations, err)
	}
	if _, err := c.core.CoreV1().Pods("gpu-operator").Get(t.Context(), "skyctl-gpu-check-x7k2p",
		metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod was not removed: %v", err)
	}
	for incarnation, want := range map[string][]string{"x7k2p": nil, "other": {"a"}} {
		if got, err := FindUnverifiedNodes(t.Context(), c,
			map[string]string{"a": incarnation, "gone": "y"}); err != nil || !slices.Equal(got, want) {
			t.Errorf("incarnation %s: %v, %v", incarnation, got, err)
		}
	}
}

func TestFailedWorkloadIsAFailureAndIsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		ends   []corev1.PodStatus
		made   int
		reason string
	}{
		"it ran and failed":     {[]corev1.PodStatus{crashed}, 1, gpu.WorkloadFailed},
		"it was rejected once":  {[]corev1.PodStatus{rejected, succeeded}, 2, ""},
		"it is always rejected": {[]corev1.PodStatus{rejected}, maxWorkloadTries, gpu.WorkloadFailed},
		"it cannot be scheduled": {[]corev1.PodStatus{{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "Insufficient nvidia.com/gpu"}}}}, 1,
			gpu.WorkloadPending},
	} {
		client, _ := cluster(node("a", 8))
		made := kubelet(client, c.ends...)
		patience := time.Minute
		if c.reason == gpu.WorkloadPending {
			patience = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := VerifyNode(ctx, client, check(chart.Stack{Kind: api.GPUStackOperator}), nil)
		cancel()
		var f *gpu.Failure
		if c.reason == "" && err != nil || c.reason != "" &&
			(!errors.As(err, &f) || f.Kind != c.reason || f.Node != "a") || len(*made) != c.made {
			t.Errorf("%s: got %v (%+v) after %d pods, want %q after %d", name, err, f, len(*made), c.reason, c.made)
		}
		if c.reason == gpu.WorkloadPending && !strings.Contains(f.Message, "Insufficient nvidia.com/gpu") {
			t.Errorf("%s: %v", name, f)
		}
		if _, err := client.core.CoreV1().Pods("gpu-operator").Get(t.Context(), "skyctl-gpu-check-x7k2p",
			metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: the pod was not removed: %v", name, err)
		}
	}
}

func TestWorkloadRequestsOneAcceleratorOfItsNode(t *testing.T) {
	p := check(chart.Stack{Kind: api.GPUStackDevicePlugin, Mirror: "registry.example.com/m"}).newPod()
	q := p.Spec.Containers[0].Resources.Limits[gpu.ResourceName]
	if q.Value() != 1 || p.Namespace != "nvidia-device-plugin" || p.Spec.NodeName != "" ||
		p.Spec.RuntimeClassName != nil ||
		p.Spec.Containers[0].Image != "registry.example.com/m/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0" {
		t.Errorf("got %+v", p.Spec)
	}
	old := check(chart.Stack{Kind: api.GPUStackOperator, OperatorVersion: "v25.3.4"})
	old.Image = "registry.example.com/own:1"
	if p := old.newPod(); p.Spec.RuntimeClassName == nil || *p.Spec.RuntimeClassName != "nvidia" ||
		p.Spec.Containers[0].Image != old.Image {
		t.Errorf("got %+v", p.Spec)
	}
	if ns := check(chart.Stack{Kind: api.GPUStackNone}).newPod().Namespace; ns != "kube-system" {
		t.Errorf("namespace %s", ns)
	}
}

func TestNodesAreMarkedOnce(t *testing.T) {
	other := corev1.Taint{Key: "other", Effect: corev1.TaintEffectNoExecute}
	n := node("a", 8)
	n.Spec.Taints = []corev1.Taint{other}
	c, _ := cluster(n)
	m := NodeMark{Kind: api.GPUStackDevicePlugin, Accelerator: "A100-80GB"}
	for range 2 {
		if err := MarkNode(t.Context(), c, "a", m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.core.CoreV1().Nodes().Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || got.Labels[AcceleratorLabel] != "A100-80GB" || got.Labels[SkyPilotLabel] != "a100-80gb" ||
		got.Labels[presentLabel] != "true" ||
		!slices.Equal(got.Spec.Taints, []corev1.Taint{other}) {
		t.Errorf("%v, %v, %v", got.Labels, got.Spec.Taints, err)
	}
	if patch := newMarkPatch(got, m); patch != nil {
		t.Errorf("a marked node would be patched: %v", patch)
	}
	plain := newMarkPatch(node("b", 8), NodeMark{Kind: api.GPUStackOperator, Accelerator: "T4"})
	if labels, _ := chart.ValueAt(plain, "metadata.labels"); len(labels.(map[string]any)) != 2 || len(plain) != 1 {
		t.Errorf("with the operator: %v", plain)
	}
	own := node("c", 8)
	own.Labels = map[string]string{SkyPilotLabel: "mine"}
	if labels, _ := chart.ValueAt(newMarkPatch(own, m),
		"metadata.labels"); labels.(map[string]any)[SkyPilotLabel] != nil {
		t.Errorf("a value of the person is replaced: %v", labels)
	}
	if err := MarkNode(t.Context(), c, "gone", m); !apierrors.IsNotFound(err) {
		t.Errorf("a missing node: %v", err)
	}
}
