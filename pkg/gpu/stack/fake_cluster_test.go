package stack

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
)

var (
	driverless = gpu.Driver{GPUs: 8}
	withDriver = gpu.Driver{Installed: true, Version: "580.126.20", GPUs: 8}
)

// memory stores objects of the kinds that charts install. Tests with a real API server are in api_test.go and test/e2e.
type memory struct {
	mu      sync.Mutex
	there   map[string]*unstructured.Unstructured
	applied int
	// uninstall is called when a HelmChart is deleted.
	uninstall func(name string)
}

func (m *memory) getObject(_ context.Context, kind schema.GroupVersionResource, namespace,
	name string) (*unstructured.Unstructured, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.there[objectPath(kind, namespace, name)]; o != nil {
		return o.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(kind.GroupResource(), name)
}

func (m *memory) applyObject(_ context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied++
	m.there[objectPath(kind, o.GetNamespace(), o.GetName())] = o.DeepCopy()
	return nil
}

func (m *memory) mergeObject(_ context.Context, kind schema.GroupVersionResource, namespace, name string,
	patch map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.there[objectPath(kind, namespace, name)]
	mergeInto(o.Object, patch)
	return nil
}

func mergeInto(base, patch map[string]any) {
	for key, value := range patch {
		below, isMap := base[key].(map[string]any)
		if over, ok := value.(map[string]any); ok && isMap {
			mergeInto(below, over)
			continue
		}
		base[key] = value
	}
}

func (m *memory) deleteObject(_ context.Context, kind schema.GroupVersionResource, namespace, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.there, objectPath(kind, namespace, name))
	if m.uninstall != nil {
		m.uninstall(name)
	}
	return nil
}

// cluster returns a client of a cluster with these objects of built-in kinds.
func cluster(objects ...runtime.Object) (*Client, *memory) {
	m := &memory{there: map[string]*unstructured.Unstructured{}}
	return &Client{core: fake.NewClientset(objects...), any: m}, m
}

func (m *memory) put(o *unstructured.Unstructured) {
	kind := chart.HelmCharts
	if o.GetKind() == "ClusterPolicy" {
		kind = clusterPolicies
	}
	m.there[objectPath(kind, o.GetNamespace(), o.GetName())] = o
}

func (m *memory) chart(name string) *unstructured.Unstructured {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.there[objectPath(chart.HelmCharts, chart.ControllerNamespace, name)]
}

// daemonSet returns a DaemonSet that is ready on some of its nodes. If plugin is true, it registers with the kubelet.
func daemonSet(namespace, name, image string, plugin bool, ready, desired int32) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: image}}
	if plugin {
		ds.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/kubelet/device-plugins"}}}}
	}
	ds.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: desired, NumberReady: ready}
	return ds
}

const pluginImage = "nvcr.io/nvidia/k8s-device-plugin:v0.19.2"

// operatorsPlugin returns the device plugin as the operator creates it.
func operatorsPlugin(ready, desired int32) *appsv1.DaemonSet {
	ds := daemonSet("gpu-operator", "nvidia-device-plugin-daemonset", pluginImage, true, ready, desired)
	ds.OwnerReferences = []metav1.OwnerReference{{Kind: "ClusterPolicy", Name: "cluster-policy"}}
	return ds
}

// released marks an object as part of a Helm release.
func released(ds *appsv1.DaemonSet, release string) *appsv1.DaemonSet {
	ds.Annotations = map[string]string{"meta.helm.sh/release-name": release,
		"meta.helm.sh/release-namespace": ds.Namespace}
	return ds
}

func node(name string, gpus int64, labels ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for i := 0; i+1 < len(labels); i += 2 {
		n.Labels[labels[i]] = labels[i+1]
	}
	if gpus >= 0 {
		n.Status.Allocatable = corev1.ResourceList{gpu.ResourceName: *resource.NewQuantity(gpus, resource.DecimalSI)}
	}
	return n
}

func policy(state string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": map[string]any{"name": policyName},
		"spec": maps.Clone(spec), "status": map[string]any{"state": state},
	}}
}

func rendered(t *testing.T, kind string, d gpu.Driver) *unstructured.Unstructured {
	t.Helper()
	o, err := chart.Stack{Kind: kind}.RenderHelmChart(d)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// operatorsCluster returns a cluster with a ready operator on two nodes with eight accelerators each.
func operatorsCluster(t *testing.T) (*Client, *memory) {
	t.Helper()
	c, m := cluster(operatorsPlugin(2, 2), daemonSet("gpu-operator", "gpu-feature-discovery", pluginImage, false, 2, 2),
		node("a", 8, "nvidia.com/cuda.driver-version.full", "580.126.20"), node("b", 8),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator",
			Name:   "sh.helm.release.v1.gpu-operator.v1",
			Labels: map[string]string{"owner": "helm", "name": "gpu-operator"}}, Type: "helm.sh/release.v1"},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "gpu-operator", Name: "gpu-operator"}})
	m.put(rendered(t, api.GPUStackOperator, withDriver))
	m.put(policy("ready", map[string]any{"devicePlugin": map[string]any{"enabled": true},
		"driver": map[string]any{"enabled": false}}))
	return c, m
}

var expected = map[string]int{"a": 8, "b": 8}
