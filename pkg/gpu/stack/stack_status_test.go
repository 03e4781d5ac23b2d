package stack

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestReadinessChecksEveryNode(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Client, *memory)
		ready  bool
		reason string
		says   string
	}{
		"everything is ready": {func(*Client, *memory) {}, true, "Ready", "16 of 16 GPUs are offered"},
		"a ready policy and no GPUs": {func(c *Client, _ *memory) {
			setNode(c, node("b", 0))
		}, false, gpu.AllocatableMissing,
			"node b offers 0 of 8"},
		"a missing GPU": {func(c *Client, _ *memory) {
			setNode(c, node("b", 7))
		}, false, gpu.AllocatableMissing, "node b offers 7 of 8"},
		"a node that never had a plugin": {func(c *Client, _ *memory) {
			setNode(c, node("b", -1))
		}, false, gpu.AllocatableMissing,
			"node b offers 0 of 8"},
		"a node that does not exist": {func(c *Client, _ *memory) {
			_ = c.core.CoreV1().Nodes().Delete(context.Background(), "b", metav1.DeleteOptions{})
		}, false, gpu.AllocatableMissing, "node b offers 0 of 8"},
		"more than expected": {func(c *Client, _ *memory) { setNode(c, node("b", 56)) }, true, "Ready", "16 of 16"},
		"a policy that is not ready": {func(_ *Client, m *memory) { m.put(policy("notReady", nil)) }, false, "NotReady",
			"the ClusterPolicy of the GPU Operator is notReady"},
		"no policy": {func(_ *Client, m *memory) {
			delete(m.there, objectPath(clusterPolicies, "", policyName))
		}, false, "NotReady",
			"not installed yet"},
		"a DaemonSet on one node only": {func(c *Client, _ *memory) {
			_, _ = c.core.AppsV1().DaemonSets("gpu-operator").Update(context.Background(), operatorsPlugin(1, 2),
				metav1.UpdateOptions{})
		}, false, "NotReady", "DaemonSets not ready on all nodes: nvidia-device-plugin-daemonset 1/2"},
		"a new DaemonSet": {func(c *Client, _ *memory) {
			ds := operatorsPlugin(0, 0)
			ds.Generation = 1
			_, _ = c.core.AppsV1().DaemonSets("gpu-operator").Update(context.Background(), ds, metav1.UpdateOptions{})
		}, false, "NotReady", "nvidia-device-plugin-daemonset 0/0"},
		"a second device plugin": {func(c *Client, _ *memory) {
			addPlugin(c, "default", "mine")
		}, false, gpu.SecondDevicePlugin, "DaemonSet default/mine"},
	} {
		c1, m := operatorsCluster(t)
		c.change(c1, m)
		st, err := ReadStatus(t.Context(), c1, api.GPUStackOperator, expected)
		if err != nil {
			t.Fatal(err)
		}
		cond := st.ToCondition()
		if st.IsReady() != c.ready || (cond.Status == api.ConditionTrue) != c.ready || cond.Type != api.GPUReady ||
			cond.Reason != c.reason || !strings.Contains(cond.Message, c.says) {
			t.Errorf("%s: ready %v, %+v, want %s saying %q", name, st.IsReady(), cond, c.reason, c.says)
		}
	}
}

func setNode(c *Client, n *corev1.Node) {
	_, _ = c.core.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{})
}

func TestStatusHasTheVersionsOfTheStack(t *testing.T) {
	c, _ := operatorsCluster(t)
	st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, expected)
	want := api.Versions{GPUOperator: "v26.3.2", GPUDriver: "580.126.20", GPUPlugin: "v0.19.2"}
	if err != nil || st.Versions != want {
		t.Errorf("got %+v, %v, want %+v", st.Versions, err, want)
	}
	driver := daemonSet("gpu-operator", "nvidia-driver-daemonset",
		"nvcr.io/nvidia/driver:570.172.08-ubuntu22.04@sha256:00", false, 1, 1)
	c, m := cluster(driver, operatorsPlugin(1, 1),
		node("a", 8, "nvidia.com/cuda.driver.major", "570", "nvidia.com/cuda.driver.minor", "172"))
	m.put(rendered(t, api.GPUStackOperator, driverless))
	for expects, want := range map[string]string{"a": "570.172", "gone": "570.172.08-ubuntu22.04"} {
		if st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, map[string]int{expects: 8}); err != nil ||
			st.Versions.GPUDriver != want {
			t.Errorf("driver %q, %v, want %q", st.Versions.GPUDriver, err, want)
		}
	}
}

func TestWithoutAStackOnlyTheNodesCount(t *testing.T) {
	c, _ := cluster(daemonSet("kube-system", "theirs", pluginImage, true, 1, 1), node("a", 8))
	for count, ready := range map[int]bool{8: true, 9: false} {
		if st, err := ReadStatus(t.Context(), c, api.GPUStackNone, map[string]int{"a": count}); err != nil ||
			st.IsReady() != ready {
			t.Errorf("%d expected: %v, %v", count, st.IsReady(), err)
		}
	}
}

// pod returns a pod of a DaemonSet with one container in this state.
func pod(name string, s corev1.ContainerStatus) *corev1.Pod {
	s.Name = "main"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator", Name: name,
			OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "ds"}}},
		Spec:   corev1.PodSpec{NodeName: "b"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{s}},
	}
}

func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func endedWith(code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
}

// runningFor computes the start at the call, because other tests of this package take longer than steadyFor.
func runningFor(d time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Now().Add(-d))}}
}

func TestFailingContainersDifferFromStartingOnes(t *testing.T) {
	for name, c := range map[string]struct {
		state corev1.ContainerStatus
		says  string // empty: it is not failing
	}{
		"it crash-loops": {corev1.ContainerStatus{State: waits("CrashLoopBackOff", "back-off 10s"),
			LastTerminationState: endedWith(1, "Error"), RestartCount: 4},
			"CrashLoopBackOff after 4 restarts: it exited with code 1"},
		"it is killed by the OOM killer": {corev1.ContainerStatus{State: waits("CrashLoopBackOff", ""),
			LastTerminationState: endedWith(137, "OOMKilled"), RestartCount: 1}, "OOMKilled"},
		"it runs again": {corev1.ContainerStatus{State: runningFor(0),
			LastTerminationState: endedWith(2, "Error"), RestartCount: 3}, "exited with code 2, after 3 restarts"},
		"its image cannot be pulled": {corev1.ContainerStatus{State: waits("ImagePullBackOff",
			"Back-off pulling\n image x")}, "ImagePullBackOff: Back-off pulling image x"},
		"it has run for a while": {corev1.ContainerStatus{State: runningFor(5 * time.Minute),
			LastTerminationState: endedWith(2, "Error"), RestartCount: 9}, ""},
		"it was restarted once": {corev1.ContainerStatus{State: runningFor(0),
			LastTerminationState: endedWith(2, "Error"), RestartCount: 1}, ""},
		"it is down again": {corev1.ContainerStatus{State: endedWith(1, "Error"),
			LastTerminationState: endedWith(1, "Error"), RestartCount: 1}, "exited with code 1, after 1 restarts"},
		"it is down once": {corev1.ContainerStatus{State: endedWith(1, "Error")}, ""},
		"it is ready after restarts": {corev1.ContainerStatus{State: runningFor(0),
			LastTerminationState: endedWith(2, "Error"), RestartCount: 9, Ready: true}, ""},
		"it is being created":            {corev1.ContainerStatus{State: waits("ContainerCreating", "")}, ""},
		"it waits for an init container": {corev1.ContainerStatus{State: waits("PodInitializing", "")}, ""},
		"it has completed":               {corev1.ContainerStatus{State: endedWith(0, "Completed")}, ""},
	} {
		_, why := failingContainer(pod("p", c.state))
		if (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
			t.Errorf("%s: got %q, want %q", name, why, c.says)
		}
	}
}

func TestFailureNamesTheFailingPartAndItsLog(t *testing.T) {
	c, _ := operatorsCluster(t)
	for _, p := range []*corev1.Pod{
		pod("a-well", corev1.ContainerStatus{State: runningFor(0), Ready: true}),
		pod("b-ill", corev1.ContainerStatus{State: waits("CrashLoopBackOff", ""),
			LastTerminationState: endedWith(1, "Error"), RestartCount: 5}),
	} {
		if _, err := c.core.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, expected)
	if err != nil || st.Trouble == nil {
		t.Fatalf("trouble %v, %v", st.Trouble, err)
	}
	ExplainFailure(t.Context(), c, st.Trouble)
	f := st.Trouble
	if f.Kind != gpu.PodFailing || f.DaemonSet != "gpu-operator/ds" || f.Pod != "gpu-operator/b-ill" ||
		f.Container != "main" || f.Node != "b" || len(f.Lines) == 0 {
		t.Errorf("got %+v", f)
	}
	for _, part := range []string{"DaemonSet gpu-operator/ds", "node b", "pod gpu-operator/b-ill", "container main",
		"CrashLoopBackOff"} {
		if !strings.Contains(f.Error(), part) {
			t.Errorf("%q lacks %q", f, part)
		}
	}
}

func failedChart(t *testing.T, reason, message string) *unstructured.Unstructured {
	t.Helper()
	helmChart := rendered(t, api.GPUStackOperator, driverless)
	helmChart.Object["status"] = map[string]any{"conditions": []any{
		map[string]any{"type": "JobCreated", "status": "True"},
		map[string]any{"type": "Failed", "status": "True", "reason": reason, "message": message},
	}}
	return helmChart
}

// The messages are from Helm's sources (helm.sh/helm/v3: pkg/repo, pkg/downloader, pkg/action, pkg/registry).
func TestHelmMessagesAreClassified(t *testing.T) {
	for want, messages := range map[string][]string{
		gpu.ChartUnreachable: {
			`Error: INSTALLATION FAILED: looks like "https://helm.example.com" is not a valid chart repository or ` +
				`cannot be reached: Get "https://helm.example.com/index.yaml": dial tcp: lookup helm.example.com: ` +
				`no such host`,
			`Error: failed to fetch https://helm.example.com/gpu-operator-v26.3.2.tgz : 503 Service Unavailable`,
			`Error: Get "http://10.0.0.1/index.yaml": dial tcp 10.0.0.1:80: connect: connection refused`,
		},
		gpu.BadChartVersion: {
			`Error: INSTALLATION FAILED: chart "gpu-operator" version "v99.9.9" not found in ` +
				`https://helm.ngc.nvidia.com/nvidia repository`,
			`Error: chart "gpu-operator" matching v99.9.9 not found in nvidia index. (try 'helm repo update'): ` +
				`no chart version found for gpu-operator-v99.9.9`,
			`Error: could not locate a version matching provided version string v99.9.9`,
		},
		gpu.ChartFailed: {
			`Error: INSTALLATION FAILED: execution error at (gpu-operator/templates/validations.yaml:1:4): bad value`,
			`Error: chart "gpu-operatr" not found in https://helm.ngc.nvidia.com/nvidia repository`,
		},
	} {
		for _, message := range messages {
			if got := classifyHelmError(message); got != want {
				t.Errorf("%s: %s, want %s", message, got, want)
			}
		}
	}
}

func TestChartThatCannotBeInstalledIsATrouble(t *testing.T) {
	c, m := cluster(node("a", 0))
	m.put(failedChart(t, "Job failed", `chart "gpu-operator" version "v26.3.2" not found in http://x repository`))
	st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, expected)
	if err != nil || st.Trouble == nil || st.Trouble.Kind != gpu.BadChartVersion ||
		!strings.Contains(st.ToCondition().Message, "HelmChart kube-system/gpu-operator failed") {
		t.Errorf("got %+v, %v", st.Trouble, err)
	}
	// With RKE2's controller, only the log of the repeatedly failing pods has the cause.
	p := pod("helm-install-gpu-operator-x", corev1.ContainerStatus{State: waits("CrashLoopBackOff", ""),
		LastTerminationState: endedWith(1, "Error"), RestartCount: 2})
	p.Namespace, p.Labels, p.OwnerReferences = "kube-system", map[string]string{chartLabel: "gpu-operator"}, nil
	c, m = cluster(p)
	m.put(rendered(t, api.GPUStackOperator, driverless))
	st, err = ReadStatus(t.Context(), c, api.GPUStackOperator, expected)
	if err != nil || st.Trouble == nil || st.Trouble.Kind != gpu.ChartFailed ||
		st.Trouble.Pod != "kube-system/helm-install-gpu-operator-x" {
		t.Fatalf("got %+v, %v", st.Trouble, err)
	}
	if ExplainFailure(t.Context(), c, st.Trouble); len(st.Trouble.Lines) == 0 {
		t.Error("its log was not read")
	}
}

// brief returns a wait with a short interval and this patience.
func brief(kind string, patience time.Duration) WaitOptions {
	return WaitOptions{Kind: kind, Expected: expected, poll: time.Millisecond, patience: waitAlways(patience)}
}

func waitAlways(d time.Duration) func(string) time.Duration {
	return func(string) time.Duration { return d }
}

func TestWaitEndsWhenEveryNodeOffersItsGPUs(t *testing.T) {
	c, _ := operatorsCluster(t)
	setNode(c, node("b", 0))
	progress := make(chan string, 100)
	w := brief(api.GPUStackOperator, time.Hour)
	w.Progress = func(s string) { progress <- s }
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		st, err := AwaitReady(ctx, c, w)
		if err == nil && !st.IsReady() {
			err = errors.New("it is not ready")
		}
		result <- err
	}()
	if line := <-progress; !strings.Contains(line, "8 of 16 GPUs are offered") {
		t.Errorf("progress %q", line)
	}
	setNode(c, node("b", 8))
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithTheFailure(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Client, *memory)
		patience time.Duration
		reason   string
	}{
		"trouble that lasts": {func(_ *Client, m *memory) {
			m.put(failedChart(t, "Job failed", "no chart version found for gpu-operator"))
			delete(m.there, objectPath(clusterPolicies, "", policyName))
		}, 0, gpu.BadChartVersion},
		"trouble at the deadline": {func(c *Client, _ *memory) {
			_, _ = c.core.CoreV1().Pods("gpu-operator").Create(context.Background(),
				pod("x", corev1.ContainerStatus{State: waits("ImagePullBackOff", "")}), metav1.CreateOptions{})
			_, _ = c.core.AppsV1().DaemonSets("gpu-operator").Update(context.Background(), operatorsPlugin(1, 2),
				metav1.UpdateOptions{})
		}, time.Hour, gpu.PodFailing},
		"an operator that was deleted": {func(c *Client, _ *memory) {
			_ = c.core.AppsV1().Deployments("gpu-operator").Delete(context.Background(), "gpu-operator",
				metav1.DeleteOptions{})
		}, 0, gpu.Deadline},
		"a slow operator": {func(_ *Client, m *memory) { m.put(policy("notReady", nil)) }, 0, gpu.Deadline},
		"a node that is not Ready": {func(c *Client, _ *memory) {
			lost := node("b", 8)
			lost.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown,
				Reason: "NodeStatusUnknown"}}
			setNode(c, lost)
			_, _ = c.core.AppsV1().DaemonSets("gpu-operator").Update(context.Background(), operatorsPlugin(1, 2),
				metav1.UpdateOptions{})
		}, 0, gpu.NodeNotReady},
		"a node that was deleted": {func(c *Client, _ *memory) {
			_ = c.core.CoreV1().Nodes().Delete(context.Background(), "b", metav1.DeleteOptions{})
		}, 0, gpu.NodeNotReady},
		"ready without allocatable GPUs": {func(c *Client, _ *memory) {
			setNode(c, node("b", 0))
		}, 0, gpu.AllocatableMissing},
	} {
		client, m := operatorsCluster(t)
		c.change(client, m)
		limit := time.Minute
		if c.patience > 0 || c.reason == gpu.Deadline {
			limit = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("its time is up"))
		_, err := AwaitReady(ctx, client, brief(api.GPUStackOperator, c.patience))
		cancel()
		var f *gpu.Failure
		if !errors.As(err, &f) || f.Kind != c.reason {
			t.Errorf("%s: got %v (%+v), want %s", name, err, f, c.reason)
		} else if early := f.Cause == nil; early != (c.patience == 0 && c.reason != gpu.Deadline) {
			t.Errorf("%s: it failed too early: %v", name, early)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the cluster was deleted")
	cancel(gone)
	client, _ := cluster()
	var f *gpu.Failure
	if _, err := AwaitReady(ctx, client, brief(api.GPUStackOperator, 0)); !errors.Is(err, gone) ||
		errors.As(err, &f) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTroublesThatPassHavePatience(t *testing.T) {
	for reason, atLeast := range map[string]time.Duration{gpu.ChartUnreachable: time.Minute,
		gpu.PodFailing:         2 * time.Minute,
		gpu.AllocatableMissing: 5 * time.Minute, gpu.NodeNotReady: 5 * time.Minute} {
		if got := patienceFor(reason); got < atLeast {
			t.Errorf("%s: %s", reason, got)
		}
	}
	if patienceFor(gpu.SecondDevicePlugin) != 0 {
		t.Error("a second device plugin has patience")
	}
}

func TestInspectStateReportsWhyARepairIsNeeded(t *testing.T) {
	stack := chart.Stack{Kind: api.GPUStackOperator}
	for says, change := range map[string]func(*Client, *memory){
		"":                     func(*Client, *memory) {},
		"node b offers 0 of 8": func(c *Client, _ *memory) { setNode(c, node("b", 0)) },
		"version is v1.0.0": func(_ *Client, m *memory) {
			m.chart(chart.OperatorName).Object["spec"].(map[string]any)["version"] = "v1.0.0"
		},
		"GPU Operator is notReady": func(_ *Client, m *memory) { m.put(policy("notReady", nil)) },
		"DaemonSet default/new":    func(c *Client, _ *memory) { addPlugin(c, "default", "new") },
	} {
		c, m := operatorsCluster(t)
		change(c, m)
		_, why, err := InspectState(t.Context(), c, stack, nil, expected)
		if err != nil || (why == "") != (says == "") || !strings.Contains(why, says) {
			t.Errorf("got %q, %v, want %q", why, err, says)
		}
	}
	c, _ := cluster(node("a", 0))
	if st, why, err := InspectState(t.Context(), c, chart.Stack{Kind: api.GPUStackNone}, nil, expected); err != nil ||
		why != "" || st.IsReady() {
		t.Errorf("the user's own stack: %+v, %q, %v", st, why, err)
	}
}

func addPlugin(c *Client, namespace, name string) {
	_, _ = c.core.AppsV1().DaemonSets(namespace).Create(context.Background(),
		daemonSet(namespace, name, pluginImage, true, 1, 1), metav1.CreateOptions{})
}

func TestClusterStatusIsUpdated(t *testing.T) {
	c, _ := operatorsCluster(t)
	st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, expected)
	if err != nil {
		t.Fatal(err)
	}
	st.Versions.GPUDriver = ""
	to := api.ClusterStatus{Versions: api.Versions{RKE2: "v1", GPUDriver: "535"}}
	now := time.Now()
	st.UpdateClusterStatus(&to, now)
	want := api.Versions{RKE2: "v1", GPUOperator: "v26.3.2", GPUDriver: "535", GPUPlugin: "v0.19.2"}
	if cond := to.FindCondition(api.GPUReady); to.Versions != want || cond == nil || cond.Status != api.ConditionTrue ||
		!cond.LastTransitionTime.Equal(now) || len(to.GPUs) != 2 {
		t.Errorf("got %+v", to)
	}
}

func TestTroubleThatComesAndGoesCounts(t *testing.T) {
	start := time.Now()
	crash := func() *gpu.Failure {
		return &gpu.Failure{Kind: gpu.PodFailing, Pod: "ns/p", Message: time.Now().String()}
	}
	short := &gpu.Failure{Kind: gpu.AllocatableMissing, Node: "b"}
	for name, c := range map[string]struct {
		seen  []*gpu.Failure // ten seconds apart
		since int            // index of the one at which it started; -1: none
	}{
		"it lasts":                  {[]*gpu.Failure{crash(), crash(), crash()}, 0},
		"it is gone for a moment":   {[]*gpu.Failure{crash(), nil, nil, crash()}, 0},
		"it shows as a missing GPU": {[]*gpu.Failure{crash(), short, crash()}, 0},
		"it is over":                {[]*gpu.Failure{crash(), nil, nil, nil, nil}, -1},
		"it was over and returned":  {[]*gpu.Failure{crash(), nil, nil, nil, nil, crash()}, 5},
		"another one replaces it":   {[]*gpu.Failure{crash(), {Kind: gpu.PodFailing, Pod: "ns/q"}}, 1},
		"the pods of a chart's Job vary": {[]*gpu.Failure{{Kind: gpu.ChartFailed, Pod: "ns/1"},
			{Kind: gpu.ChartUnreachable, Pod: "ns/2"}}, 0},
		"a missing GPU after a crash": {[]*gpu.Failure{crash(), short, short, short, short}, 3},
	} {
		var a stackWait
		for i, f := range c.seen {
			a.trackTrouble(f, start.Add(time.Duration(i)*10*time.Second))
		}
		if (a.trouble == nil) != (c.since < 0) || c.since >= 0 &&
			!a.since.Equal(start.Add(time.Duration(c.since)*10*time.Second)) {
			t.Errorf("%s: %v since %s, want since index %d", name, a.trouble, a.since.Sub(start), c.since)
		}
	}
}

func TestReapplyRestartsFailingPods(t *testing.T) {
	c, _ := operatorsCluster(t)
	for _, p := range []*corev1.Pod{
		pod("a-well", corev1.ContainerStatus{State: runningFor(0), Ready: true}),
		pod("b-ill", corev1.ContainerStatus{State: waits("CrashLoopBackOff", ""),
			LastTerminationState: endedWith(1, "Error"), RestartCount: 5}),
	} {
		if _, err := c.core.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ReapplyChart(t.Context(), c, chart.Stack{Kind: api.GPUStackOperator}, driverless, "again"); err != nil {
		t.Fatal(err)
	}
	left, err := listPods(t.Context(), c, chart.NamespaceOf(api.GPUStackOperator), "")
	if err != nil || len(left) != 1 || left[0].Name != "a-well" {
		t.Errorf("%d pods are left, %v; want only a-well", len(left), err)
	}
}
