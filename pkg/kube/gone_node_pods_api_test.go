package kube

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// deletesPodsOfGoneNodesAtOnce needs no kubelet: there is none that could confirm that the pods have stopped.
func deletesPodsOfGoneNodesAtOnce(w *drainWorld) {
	w.runPod("stays", nil)
	w.runPod("waits", func(p *corev1.Pod) { p.Spec.NodeName = "" })
	gone := w.name + "-gone"
	newer := w.runPod("newer", func(p *corev1.Pod) { p.Spec.NodeName = gone })
	for _, name := range []string{"of-daemonset", "plain"} {
		w.runPod(name, func(p *corev1.Pod) {
			p.Spec.NodeName = gone
			if name == "of-daemonset" {
				ownedBy("DaemonSet")(p)
			}
		})
	}
	newer.UID = types.UID("of-a-pod-before") // a controller has put another pod of the name there
	w.check(deletePodAtOnce(w.t.Context(), w.cs, newer))
	if !slices.Contains(w.podNames(), "newer") {
		w.t.Error("a pod that was not listed is deleted")
	}
	isGone := func(node string) bool { return node == gone }
	for _, want := range []int{3, 0} {
		if n, err := DeletePodsOfGoneNodes(w.t.Context(), w.cs, isGone); n != want || err != nil {
			w.t.Errorf("%d pods, %v; want %d", n, err, want)
		}
	}
	if left := w.podNames(); !slices.Equal(left, []string{"stays", "waits"}) {
		w.t.Errorf("left: %v", left)
	}
	if p, err := w.cs.CoreV1().Pods(w.name).Get(w.t.Context(), "stays", metav1.GetOptions{}); err != nil ||
		p.DeletionTimestamp != nil {
		w.t.Errorf("the pod on a Node that exists: %v, %v", p.DeletionTimestamp, err)
	}
}
