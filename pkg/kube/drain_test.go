package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// evictions counts evictions; no pod ever leaves.
func evictions(cs *fake.Clientset) *int {
	n := 0
	cs.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() == "eviction" {
			n++
		}
		return true, nil, nil
	})
	return &n
}

func podOn(node string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "work"},
		Spec: corev1.PodSpec{NodeName: node}}
}

func TestDrainDoesNotWaitForASilentKubelet(t *testing.T) {
	silent := cond(corev1.NodeReady, corev1.ConditionUnknown, "NodeStatusUnknown", "")
	silent.LastTransitionTime = metav1.Now()
	cs := fake.NewClientset(node("a", silent), podOn("a"))
	evicted := evictions(cs)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := DrainNode(ctx, cs, "a", DrainOptions{Timeout: time.Hour}); err != nil || *evicted != 1 {
		t.Errorf("%d evictions, %v", *evicted, err)
	}
	n, err := cs.CoreV1().Nodes().Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || !n.Spec.Unschedulable {
		t.Errorf("the node is not cordoned: %v", err)
	}
}

func TestDrainWaitsForPodsOfALiveKubelet(t *testing.T) {
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		cs := fake.NewClientset(node("a", cond(corev1.NodeReady, status, "", "")), podOn("a"))
		evicted := evictions(cs)
		_, err := DrainNode(t.Context(), cs, "a", DrainOptions{Timeout: 100 * time.Millisecond})
		if !errors.As(err, new(*DrainBlocked)) || *evicted != 1 {
			t.Errorf("Ready is %s: %d evictions, %v", status, *evicted, err)
		}
	}
}
