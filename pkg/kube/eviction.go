package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// IsEvictable reports whether a drain evicts a pod: neither a static pod nor one of a DaemonSet, both of which the
// kubelet or the controller would start again on the node, nor one that has ended.
func IsEvictable(pod *corev1.Pod) bool {
	if _, static := pod.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return false
	}
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "DaemonSet" {
		return false
	}
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// listEvictablePods returns the pods of a node that a drain evicts.
func listEvictablePods(ctx context.Context, cs kubernetes.Interface, node string) ([]corev1.Pod, error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
		Limit: podPageSize}
	var pods []corev1.Pod
	for {
		page, err := listPodPage(ctx, cs, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			if page.Items[i].Spec.NodeName == node && IsEvictable(&page.Items[i]) {
				pods = append(pods, page.Items[i])
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return pods, nil
		}
	}
}

// deletePod is evictPod without regard to disruption budgets. The pod has its grace period too.
func deletePod(ctx context.Context, cs kubernetes.Interface, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cs.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *sameUID(pod))
}

// evictPod asks the API server to delete a pod within its disruption budget. It does not touch a newer pod of the same
// name, such as a StatefulSet's.
func evictPod(ctx context.Context, cs kubernetes.Interface, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cs.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
		DeleteOptions: sameUID(pod),
	})
}

func sameUID(pod *corev1.Pod) *metav1.DeleteOptions {
	return &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
}

// newRemainingPod describes a pod that an eviction did not remove at once, whose error is err or nil.
func newRemainingPod(pod *corev1.Pod, err error) RemainingPod {
	p := RemainingPod{Namespace: pod.Namespace, Name: pod.Name, Why: "it is stopping", grace: podGracePeriod(pod)}
	if len(pod.Finalizers) > 0 {
		p.Why += "; it has the finalizers " + strings.Join(pod.Finalizers, ", ")
	}
	if err != nil {
		p.Why = explainEvictionError(err)
	}
	return p
}

// podGracePeriod returns how long a pod may take to stop.
func podGracePeriod(pod *corev1.Pod) time.Duration {
	seconds := pod.Spec.TerminationGracePeriodSeconds
	if pod.DeletionGracePeriodSeconds != nil {
		seconds = pod.DeletionGracePeriodSeconds
	}
	if seconds == nil {
		return 0
	}
	return time.Duration(*seconds) * time.Second
}

// explainEvictionError returns the API server's reason: for a disruption budget it is in the error's causes.
func explainEvictionError(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Details != nil {
		for _, c := range status.Status().Details.Causes {
			if c.Type == policyv1.DisruptionBudgetCause && c.Message != "" {
				return c.Message
			}
		}
	}
	return err.Error()
}

// nameBudgets returns the names of the disruption budgets that select a pod; empty if none do, or on an error. The API
// server's own answer names a budget in its text only.
func nameBudgets(ctx context.Context, cs kubernetes.Interface, pod *corev1.Pod) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	budgets, err := cs.PolicyV1().PodDisruptionBudgets(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	var names []string
	for i := range budgets.Items {
		// A selector that is missing selects no pods, an empty one all.
		selector, err := metav1.LabelSelectorAsSelector(budgets.Items[i].Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, budgets.Items[i].Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
