package stack

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The limits of the log excerpt in a failure.
const (
	logLines    = 20
	logBytes    = 16 << 10
	longestLine = 500
)

// chartLabel is on the pods with which the Helm controller installs a chart.
const chartLabel = "helmcharts.helm.cattle.io/chart"

// notInstalledPhrase separates the chart from the reason in the message of a failure.
const notInstalledPhrase = " cannot be installed: "

// findTrouble returns what is wrong with a stack, or nil.
func findTrouble(ctx context.Context, c *Client, kind string, helmChart *unstructured.Unstructured) (*gpu.Failure,
	error) {
	jobs, err := listPods(ctx, c, chart.ControllerNamespace, chartLabel+"="+chart.NameOf(kind))
	if err != nil {
		return nil, err
	}
	if f := findChartTrouble(helmChart, jobs); f != nil {
		return f, nil
	}
	pods, err := listPods(ctx, c, chart.NamespaceOf(kind), "")
	if err != nil {
		return nil, err
	}
	return findPodTrouble(pods), nil
}

func listPods(ctx context.Context, c *Client, namespace, selector string) ([]corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing the pods in %s: %w", namespace, err)
	}
	return list.Items, nil
}

// findChartTrouble returns why a chart was not installed, from the conditions of its HelmChart or its failing pods.
// ExplainFailure reads the cause from the log of those pods.
func findChartTrouble(helmChart *unstructured.Unstructured, jobs []corev1.Pod) *gpu.Failure {
	if helmChart == nil {
		return nil
	}
	name := "HelmChart " + helmChart.GetNamespace() + "/" + helmChart.GetName()
	var failed *gpu.Failure
	conditions, _, _ := unstructured.NestedSlice(helmChart.Object, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["type"] == "Failed" && m["status"] == "True" {
			message := strings.TrimSpace(fmt.Sprintf("%s: %s", textOrUnset(m["reason"]), textOrUnset(m["message"])))
			failed = &gpu.Failure{Kind: classifyHelmError(message), Message: name + " failed: " + message}
		}
	}
	slices.SortFunc(jobs, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	for i := range jobs {
		p := &jobs[i]
		if p.Status.Phase == corev1.PodSucceeded {
			return failed
		}
		if container, why := failingContainer(p); why != "" {
			if failed == nil {
				failed = &gpu.Failure{Kind: gpu.ChartFailed, Message: name + notInstalledPhrase + why}
			}
			failed.Pod, failed.Container = p.Namespace+"/"+p.Name, container
			return failed
		}
	}
	return failed
}

func textOrUnset(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	return "unset"
}

// classifyHelmError returns the failure reason for a message of Helm.
func classifyHelmError(message string) string {
	lower := strings.ToLower(message)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(lower, s) })
	}
	switch {
	case has("no chart version found", "improper constraint", "could not locate a version matching",
		"manifest unknown"),
		has("chart \"") && has("version \"") && has("not found"):
		return gpu.BadChartVersion
	case has("cannot be reached", "can't be reached", "is not a valid chart repository", "no such host",
		"connection refused", "i/o timeout", "dial tcp",
		"tls handshake", "x509:", "failed to fetch", "context deadline exceeded", "no route to host",
		"server misbehaving", "connection reset"):
		return gpu.ChartUnreachable
	}
	return gpu.ChartFailed
}

// findPodTrouble returns the first pod of a stack, by name, with a container that keeps failing.
func findPodTrouble(pods []corev1.Pod) *gpu.Failure {
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i := range pods {
		p := &pods[i]
		if p.Labels["app.kubernetes.io/managed-by"] == gpu.FieldManager || p.DeletionTimestamp != nil {
			continue
		}
		container, why := failingContainer(p)
		if why == "" {
			continue
		}
		return &gpu.Failure{Kind: gpu.PodFailing, Node: p.Spec.NodeName, DaemonSet: owningDaemonSet(p),
			Pod:       p.Namespace + "/" + p.Name,
			Container: container, Message: why}
	}
	return nil
}

func owningDaemonSet(p *corev1.Pod) string {
	for _, o := range p.OwnerReferences {
		if o.Kind == "DaemonSet" {
			return p.Namespace + "/" + o.Name
		}
	}
	return ""
}

// stuckReasons are the waiting reasons of containers that rarely pass without a fix.
var stuckReasons = []string{"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull",
	"InvalidImageName", "CreateContainerConfigError",
	"CreateContainerError", "RunContainerError"}

// restartsUntilFailing is the number of restarts after which a container that is not ready counts as failing, even
// while it runs.
const restartsUntilFailing = 3

// steadyFor is how long a container that was often restarted must run to count as started, such as one that failed
// until its driver was built.
const steadyFor = time.Minute

// failingContainer returns the container of a pod that keeps failing, and why; both are empty if there is none.
func failingContainer(p *corev1.Pod) (container, why string) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		last, exit := s.LastTerminationState.Terminated, ""
		if s.State.Terminated != nil {
			last = s.State.Terminated
		}
		if last != nil && last.ExitCode != 0 {
			exit = fmt.Sprintf("it exited with code %d", last.ExitCode)
			if last.Reason != "" && last.Reason != "Error" {
				exit += " (" + last.Reason + ")"
			}
			if last.Message != "" {
				exit += ": " + toOneLine(last.Message)
			}
		}
		if w := s.State.Waiting; w != nil && slices.Contains(stuckReasons, w.Reason) {
			switch {
			case w.Reason == "CrashLoopBackOff" && exit != "":
				return s.Name, fmt.Sprintf("%s after %d restarts: %s", w.Reason, s.RestartCount, exit)
			case w.Message != "":
				return s.Name, w.Reason + ": " + toOneLine(w.Message)
			}
			return s.Name, w.Reason
		}
		if r := s.State.Running; r != nil && time.Since(r.StartedAt.Time) > steadyFor {
			continue
		}
		// A busy kubelet reports a container that waits for its restart as terminated instead of in CrashLoopBackOff.
		down := s.State.Terminated != nil && (s.RestartCount > 0 || p.Spec.RestartPolicy == corev1.RestartPolicyNever)
		if exit != "" && !s.Ready && (s.RestartCount >= restartsUntilFailing || down) {
			return s.Name, fmt.Sprintf("%s, after %d restarts", exit, s.RestartCount)
		}
	}
	if p.Status.Phase == corev1.PodFailed {
		return "", "it failed: " + strings.TrimSpace(p.Status.Reason+" "+toOneLine(p.Status.Message))
	}
	return "", ""
}

// ExplainFailure adds the last log lines of the failing container to a failure and, if a chart cannot be installed,
// finds the reason in them. If the log is unavailable, the failure stays as it is.
func ExplainFailure(ctx context.Context, c *Client, f *gpu.Failure) {
	namespace, pod, ok := strings.Cut(f.Pod, "/")
	if !ok || f.Lines != nil {
		return
	}
	f.Lines = readPodLog(ctx, c, namespace, pod, f.Container)
	if f.Kind == gpu.ChartFailed {
		f.Kind = classifyHelmError(strings.Join(f.Lines, "\n"))
		if line := lastHelmError(f.Lines); line != "" {
			name, _, _ := strings.Cut(f.Message, notInstalledPhrase)
			f.Message = name + notInstalledPhrase + line
		}
	}
}

// lastHelmError returns the last error line of Helm.
func lastHelmError(log []string) string {
	for _, l := range slices.Backward(log) {
		if strings.HasPrefix(l, "Error:") || strings.Contains(l, "level=fatal") {
			return l
		}
	}
	return ""
}

// readPodLog returns the last lines of a container's log, or of its previous run if it has not logged anything yet.
func readPodLog(ctx context.Context, c *Client, namespace, pod, container string) []string {
	for _, previous := range []bool{false, true} {
		if lines := readContainerLog(ctx, c, namespace, pod, container, previous); len(lines) > 0 {
			return lines
		}
	}
	return nil
}

func readContainerLog(ctx context.Context, c *Client, namespace, pod, container string, previous bool) []string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tail, limit := int64(logLines), int64(logBytes)
	stream, err := c.core.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &tail, LimitBytes: &limit}).Stream(ctx)
	if err != nil {
		return nil
	}
	defer stream.Close()
	b, err := io.ReadAll(io.LimitReader(stream, logBytes))
	if err != nil && len(b) == 0 {
		return nil
	}
	var out []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimRight(l, "\r\n"); strings.TrimSpace(l) != "" {
			out = append(out, l[:min(len(l), longestLine)])
		}
	}
	return out[max(0, len(out)-logLines):]
}

func toOneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), longestLine)]
}
