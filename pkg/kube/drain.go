package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// evictionInterval is the time between two rounds of evictions.
const evictionInterval = time.Second

// DrainNode cordons a node and evicts its pods within their disruption budgets, except static pods and those of
// DaemonSets. It returns once they are gone; if ctx ends first, the error says how many are left. A node that does not
// exist is a success. If the node's kubelet is silent, nothing there can stop the pods: DrainNode then evicts them, so
// that their controllers replace them elsewhere, and returns without waiting.
//
// This is not k8s.io/kubectl/pkg/drain: in v0.36.3 its EvictPod sends no UID precondition (makeDeleteOptions sets only
// the grace period and dry run), so that it can evict a newer pod of the same name, such as a StatefulSet's. It also
// imports kubectl/pkg/cmd/util and cli-runtime.
func DrainNode(ctx context.Context, cs kubernetes.Interface, node string, progress func(string)) error {
	silent, err := cordonNode(ctx, cs, node)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("cordoning node %s: %w", node, err)
	}
	var left int
	var lastErr error
	err = await.Condition(ctx, evictionInterval, func() (bool, error) {
		left, lastErr = evictAllPods(ctx, cs, node)
		if lastErr == nil && (left == 0 || silent) {
			return true, nil
		}
		if left > 0 && progress != nil {
			progress(fmt.Sprintf("waiting for %d pods to leave", left))
		}
		return false, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("draining node %s: %d pods are left: %w", node, left, err), lastErr)
	}
	return nil
}

// cordonNode cordons a node, and reports whether its kubelet is silent.
func cordonNode(ctx context.Context, cs kubernetes.Interface, node string) (silent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"unschedulable": true}})
	if err != nil {
		return false, err
	}
	n, err := cs.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return false, err
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			// The control plane sets Unknown when it misses the kubelet.
			silent = c.Status == corev1.ConditionUnknown
		}
	}
	return silent, nil
}

// evictAllPods evicts every pod of the node, and counts those that are still there.
func evictAllPods(ctx context.Context, cs kubernetes.Interface, node string) (left int, err error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
		Limit: podPageSize}
	for {
		page, err := listPodPage(ctx, cs, options)
		if err != nil {
			return left, err
		}
		for i := range page.Items {
			pod := &page.Items[i]
			if pod.Spec.NodeName != node || isExemptFromDrain(pod) {
				continue
			}
			left++
			if err := evictPod(ctx, cs, pod); err != nil {
				return left, err
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return left, nil
		}
	}
}

// isExemptFromDrain reports whether a drain leaves a pod on its node.
func isExemptFromDrain(pod *corev1.Pod) bool {
	if _, static := pod.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return true
	}
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "DaemonSet" {
		return true
	}
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// evictPod evicts a pod. It is not an error if the eviction is not allowed yet (429), or if the pod is gone or
// terminating.
func evictPod(ctx context.Context, cs kubernetes.Interface, pod *corev1.Pod) error {
	if pod.DeletionTimestamp != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := cs.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))},
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
}
