// Package helmchart is the controller of HelmChart resources: each is installed, upgraded or uninstalled by a Job, as
// RKE2's helm-controller does it (github.com/k3s-io/helm-controller). The visible behaviour is the same:
// the names, labels and annotations of the Job and of what it uses, the log of its pod, the HelmChart's finalizer,
// status and events, and that the release is checked only when the HelmChart or its Job changes, or at a start.
//
// The differences: the Job's image is empty and its pod runs the node's own copy of the kit's Kubernetes program, which
// is Helm as well, so that no node has to carry Helm twice; it runs on the host's network, as there is no DNS for pods;
// Jobs are not created suspended; there are no HelmChartConfigs, no credentials for repositories, and no values from
// Secrets.
package helmchart

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

var chartResource = schema.GroupVersionResource{Group: "helm.cattle.io", Version: "v1", Resource: "helmcharts"}

const (
	chartLabel = "helmcharts.helm.cattle.io/chart"
	finalizer  = "wrangler.cattle.io/on-helm-chart-remove"
	// managedBy names the controller that is responsible for a HelmChart; unmanaged means that none is.
	managedByAnnotation = "helmcharts.cattle.io/managed-by"
	unmanagedAnnotation = "helmcharts.helm.cattle.io/unmanaged"
	managedBy           = "helm-controller"
)

// controller is one running controller.
type controller struct {
	core   kubernetes.Interface
	any    dynamic.Interface
	charts cache.GenericLister
	jobs   interface {
		Get(namespace, name string) (*batchv1.Job, error)
	}
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	recorder record.EventRecorder
	binary   string
}

// Run serves HelmCharts until ctx ends. Binary is the path of the Kubernetes program on every node.
func Run(ctx context.Context, kubeconfig, binary string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.UserAgent = managedBy
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	anyKind, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: core.CoreV1().Events("")})
	c := &controller{
		core: core, any: anyKind, binary: binary,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](200*time.Millisecond,
				30*time.Second)),
		recorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: managedBy}),
	}
	return c.run(ctx)
}

func (c *controller) run(ctx context.Context) error {
	defer c.queue.ShutDown()
	kinds := dynamicinformer.NewDynamicSharedInformerFactory(c.any, 0)
	charts := kinds.ForResource(chartResource)
	c.charts = charts.Lister()
	labelled := informers.NewSharedInformerFactoryWithOptions(c.core, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = chartLabel }))
	jobs := labelled.Batch().V1().Jobs()
	c.jobs = jobGetter(func(namespace, name string) (*batchv1.Job, error) {
		return jobs.Lister().Jobs(namespace).Get(name)
	})
	if _, err := charts.Informer().AddEventHandler(newEventHandler(func(o metav1.Object) {
		c.queue.Add(cache.NewObjectName(o.GetNamespace(), o.GetName()))
	})); err != nil {
		return fmt.Errorf("watch HelmCharts: %w", err)
	}
	if _, err := jobs.Informer().AddEventHandler(newEventHandler(func(o metav1.Object) {
		c.queue.Add(cache.NewObjectName(o.GetNamespace(), o.GetLabels()[chartLabel]))
	})); err != nil {
		return fmt.Errorf("watch Jobs: %w", err)
	}
	kinds.Start(ctx.Done())
	labelled.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), charts.Informer().HasSynced, jobs.Informer().HasSynced) {
		return ctx.Err()
	}
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	for c.processNext(ctx) {
	}
	return nil
}

type jobGetter func(namespace, name string) (*batchv1.Job, error)

func (g jobGetter) Get(namespace, name string) (*batchv1.Job, error) { return g(namespace, name) }

// newEventHandler calls changed for every event of an object.
func newEventHandler(changed func(metav1.Object)) cache.ResourceEventHandler {
	on := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if m, ok := o.(metav1.Object); ok {
			changed(m)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: on, UpdateFunc: func(_, o any) { on(o) }, DeleteFunc: on}
}

func (c *controller) processNext(ctx context.Context) bool {
	key, down := c.queue.Get()
	if down {
		return false
	}
	defer c.queue.Done(key)
	if err := c.reconcileChart(ctx, key); err != nil {
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			klog.ErrorS(err, "HelmChart not served, it will be tried again", "chart", key)
		}
		c.queue.AddRateLimited(key)
		return true
	}
	c.queue.Forget(key)
	return true
}

func (c *controller) reconcileChart(ctx context.Context, key cache.ObjectName) error {
	object, err := c.charts.ByNamespace(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	raw := object.(*unstructured.Unstructured)
	chart, err := parseChart(raw)
	if err != nil {
		return err
	}
	if chart.Spec.Chart == "" && chart.Spec.ChartContent == "" {
		return nil
	}
	if _, told := chart.Annotations[unmanagedAnnotation]; told {
		return nil
	}
	if owner, told := chart.Annotations[managedByAnnotation]; told && owner != managedBy {
		return nil
	}
	if chart.DeletionTimestamp != nil {
		return c.uninstallRelease(ctx, raw, chart)
	}
	if claimed, err := c.claimChart(ctx, raw); claimed || err != nil {
		return err
	}
	return c.ensureRelease(ctx, raw, chart)
}

// claimChart marks a HelmChart as ours before any other action. The change queues it again.
func (c *controller) claimChart(ctx context.Context, raw *unstructured.Unstructured) (bool, error) {
	own := raw.DeepCopy()
	annotations := own.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	has := false
	for _, f := range own.GetFinalizers() {
		has = has || f == finalizer
	}
	if has && annotations[managedByAnnotation] == managedBy {
		return false, nil
	}
	annotations[managedByAnnotation] = managedBy
	own.SetAnnotations(annotations)
	if !has {
		own.SetFinalizers(append(own.GetFinalizers(), finalizer))
	}
	_, err := c.any.Resource(chartResource).Namespace(own.GetNamespace()).Update(ctx, own, metav1.UpdateOptions{})
	return true, err
}

// setStatus writes the state of the Job to the HelmChart's status.
func (c *controller) setStatus(ctx context.Context, raw *unstructured.Unstructured, s Status) error {
	var status map[string]any
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
	if err != nil {
		return err
	}
	own := raw.DeepCopy()
	own.Object["status"] = status
	_, err = c.any.Resource(chartResource).Namespace(own.GetNamespace()).UpdateStatus(ctx, own, metav1.UpdateOptions{})
	return err
}
