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
	// maxWorkloadTries is how often a workload is tried whose pod the kubelet rejects. Right after the toolkit has
	// restarted RKE2, the kubelet may not know of accelerators yet that the scheduler still counts.
	maxWorkloadTries     = 3
	workloadPollInterval = time.Second
	cleanupTimeout       = 15 * time.Second
)

// Workload is a small pod that requests one accelerator of one node.
type Workload struct {
	Node string
	// Incarnation is that of the node's machine. Each incarnation is verified once.
	Incarnation string
	// Image runs without arguments and exits with 0. If it is empty, chart.DefaultTestImage is used, from the mirror of
	// Stack.
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

// VerifyNode runs a workload on a node, waits until it has ended, removes it, and annotates the node. It does nothing
// if the node is already annotated. If the workload fails or does not end before ctx, the error is a *gpu.Failure. It
// can run twice, also at the same time for the same incarnation.
func VerifyNode(ctx context.Context, c *Client, w Workload, progress func(string)) error {
	unverified, err := FindUnverifiedNodes(ctx, c, map[string]string{w.Node: w.Incarnation})
	if err != nil || len(unverified) == 0 {
		return err
	}
	defer w.removePod(ctx, c)
	for attempt := 1; ; attempt++ {
		f, err := w.runToEnd(ctx, c, progress)
		switch {
		case err != nil:
			return err
		case f == nil:
			return annotateVerified(ctx, c, w.Node, w.Incarnation)
		case !f.rejected || attempt == maxWorkloadTries:
			return withExplanation(ctx, c, f.Failure)
		}
		w.removePod(ctx, c)
	}
}

// workloadFailure is a failed workload. If it is rejected, the kubelet did not run it.
type workloadFailure struct {
	*gpu.Failure
	rejected bool
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
			return false, fmt.Errorf("creating a workload on node %s that requests an accelerator: %w", w.Node,
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
			"a workload that requests an accelerator cannot run: "+why)}
		return true
	}
	return false
}

func (r *workloadRun) timeoutFailure(cause error) *workloadFailure {
	message := "a workload that requests an accelerator did not end in time: " + r.reported
	if r.apiError != nil {
		message += "; the API server does not answer: " + r.apiError.Error()
	}
	f := r.workload.newFailure(gpu.WorkloadPending, message)
	f.Cause = cause
	return &workloadFailure{Failure: f}
}

func (w Workload) newFailure(reason, message string) *gpu.Failure {
	return &gpu.Failure{Kind: reason, Node: w.Node, Pod: w.podNamespace() + "/" + w.podName(), Container: "check",
		Message: message}
}

// classifyFailedPod distinguishes a pod that the kubelet rejected from one that ran and failed.
func (w Workload) classifyFailedPod(pod *corev1.Pod) *workloadFailure {
	_, why := failingContainer(pod)
	ran := false
	for _, s := range pod.Status.ContainerStatuses {
		ran = ran || s.State.Terminated != nil && s.State.Terminated.ContainerID != ""
	}
	return &workloadFailure{Failure: w.newFailure(gpu.WorkloadFailed, "a workload that got an accelerator failed: "+
		why),
		rejected: !ran}
}

// describePodState describes a pod that has not ended.
func describePodState(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "cannot be scheduled: " + toOneLine(c.Message)
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return "waiting: " + s.State.Waiting.Reason
		}
		if s.State.Running != nil {
			return "running"
		}
		if s.State.Terminated != nil {
			return "ended"
		}
	}
	return "being scheduled"
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
		return nil, fmt.Errorf("pod %s/%s of an earlier attempt is being deleted", pod.Namespace, pod.Name)
	}
	return pod, err
}

func (w Workload) removePod(ctx context.Context, c *Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	now := int64(0)
	// If this fails, the next call finds the pod by its name, or its deadline ends it.
	_ = c.core.CoreV1().Pods(w.podNamespace()).Delete(ctx, w.podName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// newPod lets the scheduler bind the pod: a pod with a node name could take an accelerator in use, and the kubelet
// would reject it. It tolerates every taint, because its node may have any.
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
