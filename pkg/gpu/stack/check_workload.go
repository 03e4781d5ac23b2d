package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// maxWorkloadTries is how often a pod is made anew that the kubelet turned away: right after the toolkit has
	// restarted RKE2, the kubelet may not know of the accelerators yet which the scheduler counts on.
	maxWorkloadTries     = 3
	workloadPollInterval = time.Second
	cleanupTimeout       = 15 * time.Second
)

// Workload is a tiny pod that asks for one accelerator of one node.
type Workload struct {
	Node string
	// Incarnation is that of the node's machine; the check is made once for each.
	Incarnation string
	// Image runs without arguments and ends well; empty: one that adds two vectors on the accelerator. Stack's mirror
	// holds for that one only.
	Image string
	Stack chart.Stack
}

func (w Workload) podName() string { return "skyctl-gpu-check-" + w.Incarnation }

func (w Workload) podNamespace() string {
	if w.Stack.Kind == api.GPUStackNone {
		return chart.ControllerNamespace
	}
	return chart.NamespaceOf(w.Stack.Kind)
}

// VerifyNode has a workload get an accelerator of a node, awaits its end, removes it, and notes on the node that this
// was done; where it is noted already, nothing is done. A workload that ends badly, or that found no room before ctx
// ended, is a *Failure. It may run twice, also while another one of the same incarnation runs.
func VerifyNode(ctx context.Context, c *Client, w Workload, progress func(string)) error {
	left, err := FindUnverifiedNodes(ctx, c, map[string]string{w.Node: w.Incarnation})
	if err != nil || len(left) == 0 {
		return err
	}
	defer w.removePod(ctx, c)
	for try := 1; ; try++ {
		f, err := w.runToEnd(ctx, c, progress)
		switch {
		case err != nil:
			return err
		case f == nil:
			return annotateVerified(ctx, c, w.Node, w.Incarnation)
		case !f.turnedAway || try == maxWorkloadTries:
			return withExplanation(ctx, c, f.Failure)
		}
		w.removePod(ctx, c)
	}
}

// workloadFailure is a workload that ended badly; turnedAway says that it never ran.
type workloadFailure struct {
	*gpu.Failure
	turnedAway bool
}

// runToEnd makes the pod, or takes up the one that is there, and follows it to its end.
func (w Workload) runToEnd(ctx context.Context, c *Client, progress func(string)) (*workloadFailure, error) {
	var trouble string
	var since time.Time
	said := ""
	for {
		pod, err := w.getOrCreatePod(ctx, c)
		if err == nil {
			switch pod.Status.Phase {
			case corev1.PodSucceeded:
				return nil, nil
			case corev1.PodFailed:
				return w.classifyFailedPod(pod), nil
			}
			state := describePodState(pod)
			if state != said && progress != nil {
				progress("a workload on node " + w.Node + ": " + state)
			}
			said = state
			if _, why := failingContainer(pod); why == "" {
				trouble = ""
			} else if trouble == "" {
				trouble, since = why, time.Now()
			} else if time.Since(since) > podPatience {
				return &workloadFailure{Failure: w.newFailure(gpu.WorkloadFailed,
					"a workload that asks for an accelerator can't run: "+why)}, nil
			}
		} else if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return nil, fmt.Errorf("making a workload on node %s that asks for an accelerator: %w", w.Node, err)
		}
		select {
		case <-time.After(workloadPollInterval):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, fmt.Errorf("waiting for a workload on node %s: %w", w.Node, context.Cause(ctx))
			}
			message := "a workload that asks for an accelerator did not end in time: " + said
			if err != nil {
				message += "; the API server can't be asked: " + err.Error()
			}
			f := w.newFailure(gpu.WorkloadPending, message)
			f.Cause = context.Cause(ctx)
			return &workloadFailure{Failure: f}, nil
		}
	}
}

func (w Workload) newFailure(reason, message string) *gpu.Failure {
	return &gpu.Failure{Kind: reason, Node: w.Node, Pod: w.podNamespace() + "/" + w.podName(), Container: "check",
		Message: message}
}

// classifyFailedPod tells a workload that the kubelet turned away from one that ran and failed.
func (w Workload) classifyFailedPod(pod *corev1.Pod) *workloadFailure {
	_, why := failingContainer(pod)
	ran := false
	for _, s := range pod.Status.ContainerStatuses {
		ran = ran || s.State.Terminated != nil && s.State.Terminated.ContainerID != ""
	}
	return &workloadFailure{Failure: w.newFailure(gpu.WorkloadFailed, "a workload that got an accelerator failed: "+
		why),
		turnedAway: !ran}
}

// describePodState is what a pod that has not ended waits for.
func describePodState(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "no room for it: " + toOneLine(c.Message)
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return "waits: " + s.State.Waiting.Reason
		}
		if s.State.Running != nil {
			return "runs"
		}
		if s.State.Terminated != nil {
			return "has ended"
		}
	}
	return "is being scheduled"
}

func (w Workload) getOrCreatePod(ctx context.Context, c *Client) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pods := c.core.CoreV1().Pods(w.podNamespace())
	pod, err := pods.Get(ctx, w.podName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		pod, err = pods.Create(ctx, w.newPod(), metav1.CreateOptions{FieldManager: gpu.FieldManager})
	}
	if err == nil && pod.DeletionTimestamp != nil {
		return nil, fmt.Errorf("pod %s/%s of an earlier try is being deleted", pod.Namespace, pod.Name)
	}
	return pod, err
}

func (w Workload) removePod(ctx context.Context, c *Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	now := int64(0)
	// What can't be removed now, the next try meets by its name, and its deadline ends it.
	_ = c.core.CoreV1().Pods(w.podNamespace()).Delete(ctx, w.podName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// newPod is bound by the scheduler, not by us: a pod that names its node takes an accelerator that others may have, and
// is turned away. It tolerates every taint, for the node it is meant for may have any.
func (w Workload) newPod() *corev1.Pod {
	image := w.Image
	if image == "" {
		image = w.Stack.MirroredImage(chart.DefaultTestImage)
	}
	no, deadline := false, int64(time.Hour.Seconds())
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: w.podName(), Namespace: w.podNamespace(), Labels: map[string]string{
			"app.kubernetes.io/name": "skyctl-gpu-check", "app.kubernetes.io/managed-by": gpu.FieldManager}},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: &no,
			ActiveDeadlineSeconds:        &deadline,
			Tolerations:                  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
						{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{w.Node}}}}}}}},
			Containers: []corev1.Container{{Name: "check", Image: image, Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{gpu.ResourceName: resource.MustParse("1")}}}},
		},
	}
	if class := w.Stack.RuntimeClass(); class != "" {
		p.Spec.RuntimeClassName = &class
	}
	return p
}
