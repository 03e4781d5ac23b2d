package stack

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/test/kubeapi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// The definitions contain the fields that skyctl uses, with their defaults: helm.cattle.io_helmcharts of RKE2's Helm
// controller, and nvidia.com_clusterpolicies of the GPU Operator.
const (
	helmChartKind = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: helmcharts.helm.cattle.io}
spec:
  group: helm.cattle.io
  scope: Namespaced
  names: {kind: HelmChart, plural: helmcharts, singular: helmchart}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              chart: {type: string}
              repo: {type: string}
              version: {type: string}
              targetNamespace: {type: string}
              createNamespace: {type: boolean}
              valuesContent: {type: string}
              backOffLimit: {type: integer, format: int32}
              failurePolicy: {type: string, default: reinstall}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
`
	clusterPolicyKind = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: clusterpolicies.nvidia.com}
spec:
  group: nvidia.com
  scope: Cluster
  names: {kind: ClusterPolicy, plural: clusterpolicies, singular: clusterpolicy}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`
)

func TestWithARealAPIServer(t *testing.T) {
	server := kubeapi.StartServer(t)
	cs, err := kube.NewClient(server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(cs)
	t.Run("status before the kinds of charts exist", func(t *testing.T) { readsStatusWithoutKinds(t, c, cs) })
	server.ApplyCRD(helmChartKind)
	server.ApplyCRD(clusterPolicyKind)
	t.Run("correcting the ClusterPolicy", func(t *testing.T) { correctsThePolicy(t, c) })
	t.Run("keeping the stack", func(t *testing.T) { keepsTheStack(t, c) })
}

func keepsTheStack(t *testing.T, c *Client) {
	if err := c.any.deleteObject(t.Context(), chart.HelmCharts, chart.ControllerNamespace,
		chart.OperatorName); err != nil {
		t.Fatal(err)
	}
	ctx, stack := t.Context(), chart.Stack{Kind: api.GPUStackOperator}
	for i, want := range []bool{true, false} {
		if changed, err := ApplyChart(ctx, c, stack, driverless); err != nil || changed != want {
			t.Fatalf("time %d: changed %v, %v", i+1, changed, err)
		}
	}
	helmChart := func() (revision string, spec map[string]any) {
		live, err := readChart(ctx, c, chart.OperatorName)
		if err != nil || live == nil {
			t.Fatalf("chart %v, %v", live, err)
		}
		if m := live.GetManagedFields()[0]; m.Manager != "skyctl" || m.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("fields are managed by %s through %s", m.Manager, m.Operation)
		}
		return live.GetResourceVersion(), live.Object["spec"].(map[string]any)
	}
	first, _ := helmChart()
	// A user edits a field of skyctl and adds another one.
	if err := c.any.mergeObject(ctx, chart.HelmCharts, chart.ControllerNamespace, chart.OperatorName,
		map[string]any{"spec": map[string]any{"version": "v1.0.0", "backOffLimit": 3}}); err != nil {
		t.Fatal(err)
	}
	if found, err := FindDrift(ctx, c, stack, nil); err != nil ||
		!strings.Contains(strings.Join(found, "\n"), "version is v1.0.0, should be v26.3.2") {
		t.Errorf("drift %q, %v", found, err)
	}
	if changed, err := ApplyChart(ctx, c, stack, driverless); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	revision, spec := helmChart()
	if revision == first || spec["version"] != "v26.3.2" || spec["backOffLimit"] != int64(3) {
		t.Errorf("corrected to %v", spec)
	}
	// A field that skyctl no longer sets is removed.
	if _, err := ApplyChart(ctx, c, chart.Stack{Kind: stack.Kind, Repo: "oci://registry.example.com/charts"},
		driverless); err != nil {
		t.Fatal(err)
	}
	if _, spec := helmChart(); spec["repo"] != nil ||
		spec["chart"] != "oci://registry.example.com/charts/gpu-operator" {
		t.Errorf("from a registry: %v", spec)
	}
	// The other stack replaces it.
	if changed, err := ApplyChart(ctx, c, chart.Stack{Kind: api.GPUStackDevicePlugin}, withDriver); err != nil ||
		!changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if live, err := readChart(ctx, c, chart.OperatorName); live != nil || err != nil {
		t.Errorf("the operator's chart is still there: %v, %v", live, err)
	}
}

func correctsThePolicy(t *testing.T, c *Client) {
	ctx, stack := t.Context(), chart.Stack{Kind: api.GPUStackOperator}
	edited := policy("", map[string]any{"devicePlugin": map[string]any{"enabled": false, "version": "v0.19.2"},
		"driver": map[string]any{"enabled": false}})
	if err := c.any.applyObject(ctx, clusterPolicies, edited); err != nil {
		t.Fatal(err)
	}
	if changed, err := ApplyChart(ctx, c, stack, driverless); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	live, err := readClusterPolicy(ctx, c)
	if err != nil || live == nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{"spec.devicePlugin.enabled": true, "spec.driver.enabled": true,
		"spec.devicePlugin.version": "v0.19.2"} {
		if got, _ := chart.ValueAt(live.Object, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if changed, err := ApplyChart(ctx, c, stack, driverless); err != nil || changed {
		t.Errorf("corrected, but changed again: %v, %v", changed, err)
	}
}

func readsStatusWithoutKinds(t *testing.T, c *Client, cs kubernetes.Interface) {
	if _, err := ApplyChart(t.Context(), c, chart.Stack{Kind: api.GPUStackOperator},
		driverless); !apierrors.IsNotFound(err) {
		t.Errorf("applying an unknown kind: %v", err)
	}
	for name, spec := range map[string]string{"a": "8", "b": "0"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := cs.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		patch := []byte(`{"status":{"capacity":{"nvidia.com/gpu":"8"},"allocatable":{"nvidia.com/gpu":"` + spec +
			`"}}}`)
		if _, err := cs.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{},
			"status"); err != nil {
			t.Fatal(err)
		}
	}
	st, err := ReadStatus(t.Context(), c, api.GPUStackOperator, map[string]int{"a": 8, "b": 8})
	want := []api.NodeGPUs{{Node: "a", Expected: 8, Offered: 8}, {Node: "b", Expected: 8}}
	if err != nil || !slices.Equal(st.Nodes, want) || st.IsReady() {
		t.Errorf("got %+v, %v", st, err)
	}
	mark := NodeMark{Kind: api.GPUStackOperator, Accelerator: "A100"}
	if err := MarkNode(t.Context(), c, "b", mark); err != nil {
		t.Fatal(err)
	}
	n, err := cs.CoreV1().Nodes().Get(t.Context(), "b", metav1.GetOptions{})
	if err != nil || n.Labels[AcceleratorLabel] != "A100" || newMarkPatch(n, mark) != nil {
		t.Errorf("labels %v, %v", n.Labels, err)
	}
	// No scheduler runs, so the workload stays pending. It must still be removed.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var f *gpu.Failure
	err = VerifyNode(ctx, c, Workload{Node: "b", Incarnation: "x7k2p", Stack: chart.Stack{Kind: api.GPUStackNone}}, nil)
	if !errors.As(err, &f) || f.Kind != gpu.WorkloadPending {
		t.Errorf("got %v", err)
	}
	if pods, err := cs.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods are left: %v", len(pods.Items), err)
	}
}
