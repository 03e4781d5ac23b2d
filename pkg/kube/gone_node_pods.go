package kube

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// podDeletionsAtOnce bounds the calls that are under way: the API server has just been restored.
const podDeletionsAtOnce = 10

// DeletePodsOfGoneNodes deletes the pods that are bound to Nodes of which gone reports true, and returns their number.
// No kubelet can confirm that they have stopped, so it leaves them no time to stop: the machines must be gone.
// Kubernetes itself does so a minute after the Node was deleted: pkg/controller/podgc/gc_controller.go (v1.35) waits
// for its next round (gcCheckPeriod, 20 s) and then for quarantineTime (40 s).
func DeletePodsOfGoneNodes(ctx context.Context, cs kubernetes.Interface, gone func(node string) bool) (int, error) {
	pods, err := listBoundPods(ctx, cs, gone)
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(podDeletionsAtOnce)
	for i := range pods {
		group.Go(func() error { return deletePodAtOnce(ctx, cs, &pods[i]) })
	}
	return len(pods), group.Wait()
}

// listBoundPods returns the pods on chosen Nodes.
func listBoundPods(ctx context.Context, cs kubernetes.Interface, chosen func(node string) bool) ([]corev1.Pod, error) {
	var pods []corev1.Pod
	for options := (metav1.ListOptions{Limit: podPageSize}); ; {
		page, err := listPodPage(ctx, cs, options)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Items {
			if p.Spec.NodeName != "" && chosen(p.Spec.NodeName) {
				pods = append(pods, p)
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return pods, nil
		}
	}
}

// deletePodAtOnce deletes a pod without a grace period. It is not an error if it is gone, or is another pod by now.
func deletePodAtOnce(ctx context.Context, cs kubernetes.Interface, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	options := sameUID(pod)
	options.GracePeriodSeconds = new(int64)
	err := cs.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("deleting pod %s/%s: %w", pod.Namespace, pod.Name, err)
}
