package helmchart

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// world is a controller with an API that only stores objects.
type world struct {
	t      *testing.T
	c      *controller
	events *record.FakeRecorder
}

func newWorld(t *testing.T, spec map[string]any) *world {
	t.Helper()
	chart := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
		"metadata": map[string]any{"name": "x", "namespace": "kube-system"}, "spec": spec,
	}}
	kinds := map[schema.GroupVersionResource]string{chartResource: "HelmChartList"}
	events := record.NewFakeRecorder(100)
	core := fake.NewClientset()
	w := &world{t: t, events: events, c: &controller{
		core: core, any: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, chart),
		recorder: events, binary: "/bin/kube",
	}}
	w.c.jobs = jobGetter(func(namespace, name string) (*batchv1.Job, error) {
		job, err := core.BatchV1().Jobs(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return nil, err // as a lister does, which the client doesn't
		}
		return job, nil
	})
	return w
}

// sync runs the controller on the current HelmChart until it has nothing more to do.
func (w *world) sync() {
	w.t.Helper()
	for range 3 {
		known := cache.NewIndexer(cache.MetaNamespaceKeyFunc,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
		if chart := w.chart(); chart != nil {
			if err := known.Add(chart); err != nil {
				w.t.Fatal(err)
			}
		}
		w.c.charts = cache.NewGenericLister(known, chartResource.GroupResource())
		if err := w.c.reconcileChart(w.t.Context(), cache.NewObjectName("kube-system", "x")); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) chart() *unstructured.Unstructured {
	w.t.Helper()
	chart, err := w.c.any.Resource(chartResource).Namespace("kube-system").Get(w.t.Context(), "x", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return chart
}

func (w *world) change(how func(*unstructured.Unstructured)) {
	w.t.Helper()
	chart := w.chart()
	how(chart)
	if _, err := w.c.any.Resource(chartResource).Namespace("kube-system").Update(w.t.Context(), chart,
		metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) job(name string) *batchv1.Job {
	w.t.Helper()
	job, err := w.c.jobs.Get("kube-system", name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// end finishes a Job; a successful one leaves a release behind.
func (w *world) end(job *batchv1.Job, how batchv1.JobConditionType) {
	w.t.Helper()
	job.Status.Conditions = []batchv1.JobCondition{{Type: how, Status: corev1.ConditionTrue}}
	if _, err := w.c.core.BatchV1().Jobs(job.Namespace).UpdateStatus(w.t.Context(), job,
		metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	if how != batchv1.JobComplete {
		return
	}
	_, label := readJobHash(job)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.x.v1", Namespace: "there",
		Labels: map[string]string{
			"owner": "helm", "name": "x", "version": "1", "status": "deployed", configHash: label,
		}}, Type: "helm.sh/release.v1"}
	if _, err := w.c.core.CoreV1().Secrets("there").Create(w.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) condition(kind string) string {
	w.t.Helper()
	chart, err := parseChart(w.chart())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range chart.Status.Conditions {
		if c.Type == kind {
			return strings.TrimSpace(c.Status + " " + c.Message)
		}
	}
	return ""
}

func spec(more map[string]any) map[string]any {
	out := map[string]any{"repo": "http://repo", "chart": "chart", "version": "1.2.3", "targetNamespace": "there",
		"valuesContent": "a: 1\n"}
	for key, value := range more {
		out[key] = value
	}
	return out
}

const install = "helm-install-x"

func TestHelmChartIsInstalledOnce(t *testing.T) {
	w := newWorld(t, spec(nil))
	w.sync()
	job := w.job(install)
	if job == nil || job.Labels[chartLabel] != "x" || *job.Spec.BackoffLimit != 1000 {
		t.Fatalf("the Job is %+v", job)
	}
	if !slices.Contains(w.chart().GetFinalizers(), finalizer) ||
		w.condition("JobCreated") != "True Applying HelmChart using Job kube-system/helm-install-x" ||
		w.condition("Failed") != "False" {
		t.Errorf("the HelmChart is %v", w.chart().Object)
	}
	w.end(job, batchv1.JobComplete)
	w.sync()
	if again := w.job(install); again == nil || len(again.Status.Conditions) == 0 {
		t.Error("it was installed again although nothing has changed")
	}
}

func TestChangeOrLostReleaseStartsANewJob(t *testing.T) {
	for name, change := range map[string]func(*world){
		"values": func(w *world) {
			w.change(func(c *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(c.Object, "# again\na: 1\n", "spec", "valuesContent")
			})
		},
		"release": func(w *world) {
			if err := w.c.core.CoreV1().Secrets("there").Delete(w.t.Context(), "sh.helm.release.v1.x.v1",
				metav1.DeleteOptions{}); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, spec(nil))
			w.sync()
			w.end(w.job(install), batchv1.JobComplete)
			change(w)
			w.sync()
			if job := w.job(install); job == nil || len(job.Status.Conditions) > 0 {
				t.Errorf("the Job is %+v, want a new one", job)
			}
		})
	}
}

func TestJobOutOfRetriesFailsTheHelmChart(t *testing.T) {
	w := newWorld(t, spec(map[string]any{"backOffLimit": int64(0)}))
	w.sync()
	w.end(w.job(install), batchv1.JobFailed)
	w.sync()
	if got := w.condition("Failed"); got != "True Job has reached configured number of retries without succeeding" {
		t.Errorf("Failed is %q", got)
	}
	w.change(func(c *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(c.Object, "1.2.4", "spec", "version")
	})
	w.sync()
	if got := w.condition("Failed"); got != "False" {
		t.Errorf("after a change Failed is %q", got)
	}
}

func TestDeletedHelmChartStaysUntilItsReleaseIsGone(t *testing.T) {
	w := newWorld(t, spec(nil))
	w.sync()
	w.end(w.job(install), batchv1.JobComplete)
	now := metav1.Now()
	w.change(func(c *unstructured.Unstructured) { c.SetDeletionTimestamp(&now) })
	w.sync()
	job := w.job("helm-delete-x")
	if job == nil || w.job(install) != nil || job.Spec.Template.Spec.Containers[0].Args[0] != "delete" {
		t.Fatalf("the Job is %+v", job)
	}
	if !slices.Contains(w.chart().GetFinalizers(), finalizer) {
		t.Fatal("the HelmChart was let go although its release is there")
	}
	if err := w.c.core.CoreV1().Secrets("there").Delete(t.Context(), "sh.helm.release.v1.x.v1",
		metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	if _, err := w.c.core.BatchV1().Jobs(job.Namespace).UpdateStatus(t.Context(), job,
		metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if chart := w.chart(); chart != nil && slices.Contains(chart.GetFinalizers(), finalizer) {
		t.Error("the HelmChart is held although its release is gone")
	}
	if w.job("helm-delete-x") != nil {
		t.Error("the Job is left")
	}
	if _, err := w.c.core.CoreV1().Secrets("kube-system").Get(t.Context(), "chart-values-x",
		metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the values are left: %v", err)
	}
}

func TestForeignHelmChartsAreNotChanged(t *testing.T) {
	for _, annotations := range []map[string]string{{unmanagedAnnotation: ""}, {managedByAnnotation: "somebody"}} {
		w := newWorld(t, spec(nil))
		w.change(func(c *unstructured.Unstructured) { c.SetAnnotations(annotations) })
		w.sync()
		if w.job(install) != nil {
			t.Errorf("with %v it was installed", annotations)
		}
	}
}

func TestHelmChartFieldsBecomeHelmArguments(t *testing.T) {
	w := newWorld(t, spec(map[string]any{"createNamespace": true,
		"set": map[string]any{"n": int64(3), "on": "true", "text": "a,b"}}))
	w.sync()
	got := strings.Join(w.job(install).Spec.Template.Spec.Containers[0].Args, " ")
	if want := `install --namespace there --create-namespace --version 1.2.3 --set n=3 --set on=true ` +
		`--set-string text=a\,b`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	select {
	case event := <-w.events.Events:
		if want := "Normal ApplyJob Applying HelmChart from chart version 1.2.3 from chart repository http://repo " +
			"using Job kube-system/helm-install-x "; event != want {
			t.Errorf("got  %s\nwant %s", event, want)
		}
	default:
		t.Error("there is no event")
	}
}
