package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
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

// runToEnd creates the pod, or adopts an existing one, and waits until it has ended.
func (w Workload) runToEnd(ctx context.Context, c *Client, progress func(string)) (*workloadFailure, error) {
	r := workloadRun{workload: w, progress: progress}
	var refused bool
	err := await.Condition(ctx, workloadPollInterval, func() (ended bool, err error) {
		var pod *corev1.Pod
		if pod, r.apiError = w.getOrCreatePod(ctx, c); r.apiError == nil {
			return r.observePod(pod), nil
		}
		if refused = apierrors.IsForbidden(r.apiError) || apierrors.IsInvalid(r.apiError); refused {
			return false, fmt.Errorf("making a workload on node %s that asks for an accelerator: %w", w.Node,
				r.apiError)
		}
		return false, nil
	})
	switch {
	case err == nil:
		return r.failure, nil
	case refused:
		return nil, err
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("waiting for a workload on node %s: %w", w.Node, err)
	}
	return r.timeoutFailure(err), nil
}

// workloadRun is the state of the wait for a workload's pod.
type workloadRun struct {
	workload Workload
	progress func(string)
	// reported is the last state of the pod that progress was called with.
	reported string
	// trouble is why a container keeps failing, since troubleSince; empty if none does.
	trouble      string
	troubleSince time.Time
	// apiError is the error of the last call of the API server.
	apiError error
	// failure is set if the pod has failed.
	failure *workloadFailure
}

// observePod reports whether the pod has ended, well or with r.failure.
func (r *workloadRun) observePod(pod *corev1.Pod) (ended bool) {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return true
	case corev1.PodFailed:
		r.failure = r.workload.classifyFailedPod(pod)
		return true
	}
	state := describePodState(pod)
	if state != r.reported && r.progress != nil {
		r.progress("a workload on node " + r.workload.Node + ": " + state)
	}
	r.reported = state
	_, why := failingContainer(pod)
	switch {
	case why == "":
		r.trouble = ""
	case r.trouble == "":
		r.trouble, r.troubleSince = why, time.Now()
	case time.Since(r.troubleSince) > podPatience:
		r.failure = &workloadFailure{Failure: r.workload.newFailure(gpu.WorkloadFailed,
			"a workload that asks for an accelerator can't run: "+why)}
		return true
	}
	return false
}

func (r *workloadRun) timeoutFailure(cause error) *workloadFailure {
	message := "a workload that asks for an accelerator did not end in time: " + r.reported
	if r.apiError != nil {
		message += "; the API server can't be asked: " + r.apiError.Error()
	}
	f := r.workload.newFailure(gpu.WorkloadPending, message)
	f.Cause = cause
	return &workloadFailure{Failure: f}
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
