package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/kubeapi"
)

// drainWorld is a real API server, with a namespace and a node for one test. It has no controllers: the tests set the
// status of budgets themselves.
type drainWorld struct {
	t    *testing.T
	cs   kubernetes.Interface
	name string // of the namespace and of the node

	mu      sync.Mutex
	stopped map[string]int64 // the grace period with which each pod was stopped
}

func TestDrainWithARealAPIServer(t *testing.T) {
	server := kubeapi.StartServer(t)
	cs, err := NewClient(server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(*drainWorld){
		"evictable":  evictsAllButStaticAndDaemonSetPods,
		"held":       saysWhichBudgetHoldsAPod,
		"freed":      goesOnOnceTheBudgetAllows,
		"two":        namesBothBudgetsOfAPod,
		"force":      deletesByForceWithGrace,
		"newer":      leavesANewerPodOfTheName,
		"silent":     doesNotWaitForAStoppedKubelet,
		"silentheld": abandonsHeldPodsOfASilentNode,
		"gone":       succeedsWithoutTheNode,
		"cordon":     uncordonsOnlyItsOwn,
		"forget":     deletesTheNodeWithItsPassword,
		"settings":   updatesLabelsAndTaints,
		"gonepods":   deletesPodsOfGoneNodesAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			w := &drainWorld{t: t, cs: cs, name: name, stopped: map[string]int64{}}
			w.createNamespaceAndNode()
			run(w)
		})
	}
}

func (w *drainWorld) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *drainWorld) createNamespaceAndNode() {
	w.t.Helper()
	_, err := w.cs.CoreV1().Namespaces().Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: w.name}}, metav1.CreateOptions{})
	w.check(err)
	_, err = w.cs.CoreV1().Nodes().Create(w.t.Context(), node(w.name), metav1.CreateOptions{})
	w.check(err)
	w.setReadiness(corev1.ConditionTrue, time.Now())
}

func (w *drainWorld) setReadiness(status corev1.ConditionStatus, since time.Time) {
	w.t.Helper()
	n := w.node()
	ready := cond(corev1.NodeReady, status, "Test", "")
	ready.LastTransitionTime = metav1.NewTime(since)
	n.Status.Conditions = []corev1.NodeCondition{ready}
	_, err := w.cs.CoreV1().Nodes().UpdateStatus(w.t.Context(), n, metav1.UpdateOptions{})
	w.check(err)
}

func (w *drainWorld) node() *corev1.Node {
	w.t.Helper()
	n, err := w.cs.CoreV1().Nodes().Get(w.t.Context(), w.name, metav1.GetOptions{})
	w.check(err)
	return n
}

// runPod creates a running, Ready pod on the node.
func (w *drainWorld) runPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	w.t.Helper()
	grace := int64(7)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{NodeName: w.name, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "c", Image: "image"}}}}
	if change != nil {
		change(p)
	}
	phase := p.Status.Phase
	p, err := w.cs.CoreV1().Pods(w.name).Create(w.t.Context(), p, metav1.CreateOptions{})
	w.check(err)
	if p.Status.Phase = phase; phase == "" {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	p, err = w.cs.CoreV1().Pods(w.name).UpdateStatus(w.t.Context(), p, metav1.UpdateOptions{})
	w.check(err)
	return p
}

// setBudget creates a budget for all pods with app=web, or changes how many of them may be evicted.
func (w *drainWorld) setBudget(name string, allowed int32) {
	w.t.Helper()
	budgets := w.cs.PolicyV1().PodDisruptionBudgets(w.name)
	b, err := budgets.Get(w.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		least := intstr.FromInt32(2)
		b, err = budgets.Create(w.t.Context(), &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &least,
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		}, metav1.CreateOptions{})
	}
	w.check(err)
	b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: allowed,
		DesiredHealthy: 2, CurrentHealthy: 2 + allowed, ExpectedPods: 2 + allowed}
	_, err = budgets.UpdateStatus(w.t.Context(), b, metav1.UpdateOptions{})
	w.check(err)
}

// startKubelet removes the pods of the node that are to stop, until the test ends.
func (w *drainWorld) startKubelet() {
	w.t.Helper()
	changes, err := w.cs.CoreV1().Pods(w.name).Watch(w.t.Context(), metav1.ListOptions{})
	w.check(err)
	w.t.Cleanup(changes.Stop)
	go func() {
		for e := range changes.ResultChan() {
			p, ok := e.Object.(*corev1.Pod)
			if !ok || p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil ||
				*p.DeletionGracePeriodSeconds == 0 {
				continue
			}
			w.mu.Lock()
			w.stopped[p.Name] = *p.DeletionGracePeriodSeconds
			w.mu.Unlock()
			_ = w.cs.CoreV1().Pods(w.name).Delete(context.WithoutCancel(w.t.Context()), p.Name,
				metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		}
	}()
}

func (w *drainWorld) podNames() []string {
	w.t.Helper()
	list, err := w.cs.CoreV1().Pods(w.name).List(w.t.Context(), metav1.ListOptions{})
	w.check(err)
	names := []string{}
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

func (w *drainWorld) drain(o DrainOptions) (DrainOutcome, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return DrainNode(ctx, w.cs, w.name, o)
}

// drainUntilReported begins a drain, and ends it once it reports this.
func (w *drainWorld) drainUntilReported(want string) {
	w.t.Helper()
	reported, last := errors.New("reported"), ""
	ctx, end := context.WithCancelCause(eventually.Context(w.t, 2*time.Minute))
	defer end(nil)
	_, err := DrainNode(ctx, w.cs, w.name, DrainOptions{Timeout: time.Hour, Report: func(s string) {
		if last = s; s == want {
			end(reported)
		}
	}})
	if !errors.Is(err, reported) {
		w.t.Fatalf("the drain ended with %v; its last report is %q, want %q", err, last, want)
	}
}

func ownedBy(kind string) func(*corev1.Pod) {
	yes := true
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "owner",
			UID: types.UID("uid-" + kind), Controller: &yes}}
	}
}

func evictsAllButStaticAndDaemonSetPods(w *drainWorld) {
	w.startKubelet()
	w.runPod("unmanaged", nil)
	w.runPod("replica", ownedBy("ReplicaSet"))
	w.runPod("emptydir", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	})
	w.runPod("daemon", ownedBy("DaemonSet"))
	w.runPod("static", func(p *corev1.Pod) {
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
	})
	w.runPod("ended", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	w.setBudget("web", 10)
	seen, err := ObserveCluster(w.t.Context(), w.cs, nil, noAccelerators)
	w.check(err)
	if got := seen.Nodes[w.name].Pods; got != 3 {
		w.t.Errorf("the node is seen with %d pods to evict", got)
	}
	outcome, err := w.drain(DrainOptions{Timeout: time.Minute, Reason: "scaled down"})
	if err != nil || outcome.Deleted != nil || outcome.Abandoned != nil {
		w.t.Errorf("%+v, %v", outcome, err)
	}
	if left := w.podNames(); !slices.Equal(left, []string{"daemon", "ended", "static"}) {
		w.t.Errorf("left: %q", left)
	}
	if n := w.node(); !n.Spec.Unschedulable || n.Annotations[DrainAnnotation] != "scaled down" {
		w.t.Errorf("unschedulable %v, annotations %v", n.Spec.Unschedulable, n.Annotations)
	}
}

func saysWhichBudgetHoldsAPod(w *drainWorld) {
	w.startKubelet()
	w.runPod("web-0", nil)
	w.runPod("free", func(p *corev1.Pod) { p.Labels = nil })
	w.setBudget("web", 0)
	w.drainUntilReported("draining: 1 pod left, held/web-0 held by PodDisruptionBudget web")
	_, err := w.drain(DrainOptions{Timeout: time.Millisecond})
	blocked := new(DrainBlocked)
	if !errors.As(err, &blocked) || len(blocked.Pods) != 1 || blocked.Reason() != "DrainBlocked" || !blocked.Final() {
		w.t.Fatalf("got %v", err)
	}
	p := blocked.Pods[0]
	if p.Namespace != w.name || p.Name != "web-0" || p.Budget != "web" ||
		!strings.Contains(p.Why, "needs 2 healthy pods and has 2 currently") {
		w.t.Errorf("left: %+v", p)
	}
	if !strings.Contains(err.Error(), "1 pod left: held/web-0 is held by PodDisruptionBudget web: The disruption") {
		w.t.Error(err)
	}
	if left := w.podNames(); !slices.Equal(left, []string{"web-0"}) {
		w.t.Errorf("left: %q", left)
	}
}

func goesOnOnceTheBudgetAllows(w *drainWorld) {
	w.startKubelet()
	w.runPod("web-0", nil)
	w.setBudget("web", 0)
	var once sync.Once
	_, err := w.drain(DrainOptions{Timeout: time.Minute, Report: func(s string) {
		if strings.Contains(s, "held by") {
			once.Do(func() { w.setBudget("web", 1) })
		}
	}})
	w.check(err)
	if left := w.podNames(); len(left) != 0 {
		w.t.Errorf("left: %q", left)
	}
}

func namesBothBudgetsOfAPod(w *drainWorld) {
	w.runPod("web-0", nil)
	w.setBudget("web", 1)
	w.setBudget("all", 1)
	_, err := w.drain(DrainOptions{Timeout: time.Millisecond})
	blocked := new(DrainBlocked)
	if !errors.As(err, &blocked) || len(blocked.Pods) != 1 || blocked.Pods[0].Budget != "all, web" ||
		!strings.Contains(blocked.Pods[0].Why, "more than one PodDisruptionBudget") {
		w.t.Errorf("got %v", err)
	}
}

func deletesByForceWithGrace(w *drainWorld) {
	w.startKubelet()
	w.runPod("web-0", nil)
	w.runPod("daemon", ownedBy("DaemonSet"))
	w.setBudget("web", 0)
	outcome, err := w.drain(DrainOptions{Timeout: time.Millisecond, Force: true})
	if err != nil || len(outcome.Deleted) != 1 || outcome.Deleted[0].Budget != "web" || outcome.Abandoned != nil {
		w.t.Errorf("%+v, %v", outcome, err)
	}
	if left := w.podNames(); !slices.Equal(left, []string{"daemon"}) {
		w.t.Errorf("left: %q", left)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped["web-0"] != 7 {
		w.t.Errorf("stopped with the grace periods %v", w.stopped)
	}
}

func leavesANewerPodOfTheName(w *drainWorld) {
	old := w.runPod("db-0", nil)
	w.check(w.cs.CoreV1().Pods(w.name).Delete(w.t.Context(), "db-0", metav1.DeleteOptions{
		GracePeriodSeconds: new(int64)}))
	w.runPod("db-0", nil)
	for what, err := range map[string]error{
		"evict":  evictPod(w.t.Context(), w.cs, old),
		"delete": deletePod(w.t.Context(), w.cs, old),
	} {
		if !apierrors.IsConflict(err) {
			w.t.Errorf("%s: %v", what, err)
		}
	}
	p, err := w.cs.CoreV1().Pods(w.name).Get(w.t.Context(), "db-0", metav1.GetOptions{})
	if err != nil || p.DeletionTimestamp != nil {
		w.t.Errorf("the newer pod: %v, %v", p, err)
	}
}

func doesNotWaitForAStoppedKubelet(w *drainWorld) {
	w.runPod("web-0", nil)
	w.setReadiness(corev1.ConditionUnknown, time.Now())
	outcome, err := w.drain(DrainOptions{Timeout: time.Hour})
	w.check(err)
	p, err := w.cs.CoreV1().Pods(w.name).Get(w.t.Context(), "web-0", metav1.GetOptions{})
	if err != nil || p.DeletionTimestamp == nil || outcome.Abandoned != nil {
		w.t.Errorf("the pod was not evicted: %v; %+v", err, outcome)
	}
}

func abandonsHeldPodsOfASilentNode(w *drainWorld) {
	w.runPod("web-0", nil)
	w.setBudget("web", 0)
	w.setReadiness(corev1.ConditionUnknown, time.Now())
	if _, err := w.drain(DrainOptions{}); !errors.As(err, new(*DrainBlocked)) {
		w.t.Errorf("silent for a moment: %v", err)
	}
	w.setReadiness(corev1.ConditionUnknown, time.Now().Add(-silentNodeWait-time.Minute))
	outcome, err := w.drain(DrainOptions{Timeout: time.Hour})
	if err != nil || len(outcome.Abandoned) != 1 || outcome.Abandoned[0].Budget != "web" {
		w.t.Errorf("silent for minutes: %+v, %v", outcome, err)
	}
}

func succeedsWithoutTheNode(w *drainWorld) {
	w.check(w.cs.CoreV1().Nodes().Delete(w.t.Context(), w.name, metav1.DeleteOptions{}))
	_, err := w.drain(DrainOptions{Timeout: time.Hour})
	w.check(err)
	w.check(UncordonNode(w.t.Context(), w.cs, w.name))
}

func uncordonsOnlyItsOwn(w *drainWorld) {
	_, err := w.drain(DrainOptions{Timeout: time.Minute, Reason: "replaced"})
	w.check(err)
	for range 2 {
		w.check(UncordonNode(w.t.Context(), w.cs, w.name))
	}
	if n := w.node(); n.Spec.Unschedulable || n.Annotations[DrainAnnotation] != "" {
		w.t.Errorf("unschedulable %v, annotations %v", n.Spec.Unschedulable, n.Annotations)
	}
	n := w.node()
	n.Spec.Unschedulable = true // by a person
	_, err = w.cs.CoreV1().Nodes().Update(w.t.Context(), n, metav1.UpdateOptions{})
	w.check(err)
	_, err = w.drain(DrainOptions{Timeout: time.Minute, Reason: "replaced"})
	w.check(err)
	w.check(UncordonNode(w.t.Context(), w.cs, w.name))
	if !w.node().Spec.Unschedulable {
		w.t.Error("a person's cordon was undone")
	}
}

func deletesTheNodeWithItsPassword(w *drainWorld) {
	secrets := w.cs.CoreV1().Secrets(metav1.NamespaceSystem)
	for _, name := range []string{w.name, "another"} {
		_, err := secrets.Create(w.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: name + ".node-password.rke2"}}, metav1.CreateOptions{})
		w.check(err)
	}
	for range 2 {
		w.check(DeleteNode(w.t.Context(), w.cs, w.name))
	}
	left, err := secrets.List(w.t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 1 || left.Items[0].Name != "another.node-password.rke2" {
		w.t.Errorf("secrets %v, %v", left, err)
	}
	if _, err := getNode(w.t.Context(), w.cs, w.name); !apierrors.IsNotFound(err) {
		w.t.Errorf("the node: %v", err)
	}
}
