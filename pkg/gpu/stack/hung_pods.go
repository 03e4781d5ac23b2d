package stack

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// hungPodPatience is how long a container may be created without running. A container runtime starts what it has
// created within a second, and the toolkit's restart of it takes some seconds.
const hungPodPatience = 90 * time.Second

// hungPods finds pods that hang because the toolkit restarted the container runtime while they started: a container
// stays created for ever, and no kubelet before 1.32 starts it again (NVIDIA/gpu-operator#991, containerd#10437,
// kubernetes#126543).
type hungPods struct {
	// since is when a pod was first seen hanging.
	since map[types.UID]time.Time
	// deleted are the DaemonSets and Nodes of which a pod was deleted. It happens once for each: a pod that hangs again
	// has another reason.
	deleted map[string]bool
}

// isHung reports whether a container of a pod is created and does not run. Such a container has an id and waits without
// a reason of its own (kubernetes pkg/kubelet/kubelet_pods.go); one that waits for its image, or for its restart,
// differs in one of these.
func isHung(p *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses),
		func(s corev1.ContainerStatus) bool {
			w := s.State.Waiting
			return w != nil && s.ContainerID != "" && s.LastTerminationState.Terminated == nil &&
				slices.Contains([]string{"", "PodInitializing", "ContainerCreating"}, w.Reason)
		})
}

// chooseDue returns the pods that have hung for long enough to be deleted.
func (h *hungPods) chooseDue(pods []corev1.Pod, now time.Time) []*corev1.Pod {
	var due []*corev1.Pod
	hang := map[types.UID]time.Time{}
	for i := range pods {
		p := &pods[i]
		if owningDaemonSet(p) == "" || p.DeletionTimestamp != nil || !isHung(p) {
			continue
		}
		since, known := h.since[p.UID]
		if !known {
			since = now
		}
		hang[p.UID] = since
		if now.Sub(since) >= hungPodPatience && !h.deleted[hungPodKey(p)] {
			due = append(due, p)
		}
	}
	h.since = hang
	return due
}

func hungPodKey(p *corev1.Pod) string { return owningDaemonSet(p) + " " + p.Spec.NodeName }

// deleteHungPods deletes pods of a stack that hang, once for each DaemonSet and Node; the DaemonSet makes them anew. It
// returns what it did, for people.
func (h *hungPods) deleteHungPods(ctx context.Context, c *Client, kind string, now time.Time) ([]string, error) {
	pods, err := listPods(ctx, c, chart.NamespaceOf(kind), "")
	if err != nil {
		return nil, err
	}
	var done []string
	for _, p := range h.chooseDue(pods, now) {
		if err := deletePod(ctx, c, p); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return done, fmt.Errorf("deleting the pod %s/%s, which hangs: %w", p.Namespace, p.Name, err)
		}
		if h.deleted == nil {
			h.deleted = map[string]bool{}
		}
		h.deleted[hungPodKey(p)] = true
		done = append(done, fmt.Sprintf("pod %s/%s was deleted, because it hung since the container runtime was "+
			"restarted",
			p.Namespace, p.Name))
	}
	return done, nil
}

// deletePod deletes this pod, and not another one that has its name by now.
func deletePod(ctx context.Context, c *Client, p *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.core.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}})
}
