package stack

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pluginPod returns a pod of the operator's device plugin whose init container has this status.
func pluginPod(uid string, init corev1.ContainerStatus) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator", Name: "plugin-" + uid,
		UID:             types.UID(uid),
		OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "nvidia-device-plugin-daemonset"}}}}
	p.Spec.NodeName = "a"
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{init}
	return p
}

func waiting(id, reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "toolkit-validation", ContainerID: id,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
}

func TestHungContainersAreToldFromThoseThatWait(t *testing.T) {
	crashed := waiting("containerd://1", "")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1}
	running := corev1.ContainerStatus{ContainerID: "containerd://1",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	for name, tt := range map[string]struct {
		status corev1.ContainerStatus
		hung   bool
	}{
		"created":                {waiting("containerd://1", ""), true},
		"created, other kubelet": {waiting("containerd://1", "PodInitializing"), true},
		"not created yet":        {waiting("", "PodInitializing"), false},
		"waits for its image":    {waiting("", "ImagePullBackOff"), false},
		"waits for a restart":    {waiting("containerd://1", "CrashLoopBackOff"), false},
		"restarts":               {crashed, false},
		"running":                {running, false},
	} {
		if got := isHung(pluginPod("1", tt.status)); got != tt.hung {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestHungPodsAreDeletedOnce(t *testing.T) {
	hung := waiting("containerd://1", "")
	lone := pluginPod("lone", hung)
	lone.OwnerReferences = nil
	c, _ := cluster(pluginPod("1", hung), pluginPod("well", corev1.ContainerStatus{}), lone)
	names := func() string {
		pods, err := listPods(t.Context(), c, "gpu-operator", "")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range pods {
			names = append(names, p.Name)
		}
		return strings.Join(names, " ")
	}
	var h hungPods
	start := time.Now()
	step := func(after time.Duration) string {
		done, err := h.deleteHungPods(t.Context(), c, api.GPUStackOperator, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(done, "; ")
	}
	for _, early := range []time.Duration{0, hungPodPatience - time.Second} {
		if done := step(early); done != "" {
			t.Errorf("after %s: %s", early, done)
		}
	}
	if done := step(hungPodPatience); !strings.HasPrefix(done, "pod gpu-operator/plugin-1 was deleted") ||
		names() != "plugin-lone plugin-well" {
		t.Errorf("got %q; there are %s", done, names())
	}
	again := pluginPod("2", hung)
	if _, err := c.core.CoreV1().Pods("gpu-operator").Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{2 * hungPodPatience, 4 * hungPodPatience} {
		if done := step(later); done != "" || !strings.Contains(names(), "plugin-2") {
			t.Errorf("its successor after %s: %q; there are %s", later, done, names())
		}
	}
}

func TestWaitForTheStackDeletesHungPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := cluster(operatorsPlugin(1, 2), pluginPod("1", waiting("containerd://1", "")), node("a", 8),
			node("b", 8),
			&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator", Name: "gpu-operator"}},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator", Name: "release",
				Labels: map[string]string{"owner": "helm", "name": "gpu-operator"}}, Type: "helm.sh/release.v1"})
		m.put(rendered(t, api.GPUStackOperator, withDriver))
		m.put(policy("ready", nil))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var reported []string
		_, _ = AwaitReady(ctx, c, WaitOptions{Kind: api.GPUStackOperator, Expected: expected,
			Progress: func(s string) { reported = append(reported, s) }})
		if last := reported[len(reported)-1]; !strings.Contains(last, "pod gpu-operator/plugin-1 was deleted") {
			t.Errorf("the last report is %q", last)
		}
		if pods, err := listPods(t.Context(), c, "gpu-operator", ""); err != nil || len(pods) > 0 {
			t.Errorf("there are %v, %v", pods, err)
		}
	})
}

func TestPodThatRunsAgainIsNotCountedOn(t *testing.T) {
	var h hungPods
	now := time.Now()
	hung, well := *pluginPod("1", waiting("containerd://1", "")), *pluginPod("1", corev1.ContainerStatus{})
	h.chooseDue([]corev1.Pod{hung}, now)
	h.chooseDue([]corev1.Pod{well}, now.Add(time.Second))
	if due := h.chooseDue([]corev1.Pod{hung}, now.Add(hungPodPatience)); len(due) > 0 {
		t.Error("it hung only for a moment, twice")
	}
}
