package stack

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDevicePluginsAreDetected(t *testing.T) {
	labelled := daemonSet("kube-system", "dp", "registry.example.com/dp:1", true, 1, 1)
	labelled.Spec.Template.Labels = map[string]string{"name": "nvidia-device-plugin-ds"}
	for name, c := range map[string]struct {
		ds   *appsv1.DaemonSet
		want bool
	}{
		"NVIDIA's": {daemonSet("kube-system", "nvidia-device-plugin-daemonset", pluginImage, true, 1,
			1), true},
		"with another name": {daemonSet("x", "gpus", "mirror.example.com/nvidia/k8s-device-plugin:v0.14", true,
			1, 1), true},
		"with its labels": {labelled, true},
		"from a cloud": {daemonSet("kube-system", "nvidia-gpu-device-plugin",
			"gke.gcr.io/nvidia-gpu-device-plugin:1", true, 1, 1), true},
		"with the plugin's image": {daemonSet("gpu-operator", "gpu-feature-discovery", pluginImage, false, 1, 1),
			false},
		"for another vendor": {daemonSet("kube-system", "amdgpu-device-plugin", "rocm/k8s-device-plugin", true,
			1, 1), false},
		"another DaemonSet of NVIDIA": {daemonSet("x", "nvidia-dcgm-exporter", "nvcr.io/nvidia/k8s/dcgm-exporter:4",
			false, 1, 1), false},
	} {
		if got := isDevicePlugin(c.ds); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStackIsAppliedOnlyIfItDiffers(t *testing.T) {
	c, m := cluster()
	stack := chart.Stack{Kind: api.GPUStackOperator}
	for i, want := range []bool{true, false} {
		if changed, err := ApplyChart(t.Context(), c, stack, driverless); err != nil || changed != want {
			t.Fatalf("time %d: changed %v, %v", i+1, changed, err)
		}
	}
	live := m.chart(chart.OperatorName)
	if diff := chart.Differences(live, rendered(t, api.GPUStackOperator, driverless)); len(diff) > 0 ||
		!isManaged(live) {
		t.Fatalf("applied %v, which differs: %q", live, diff)
	}
	live.Object["spec"].(map[string]any)["version"] = "v1.0.0"
	if changed, err := ApplyChart(t.Context(), c, stack, driverless); err != nil || !changed || m.applied != 2 {
		t.Errorf("after an edit: changed %v, %v, applied %d times", changed, err, m.applied)
	}
	before := m.chart(chart.OperatorName)
	if err := ReapplyChart(t.Context(), c, stack, driverless, "sweep 7"); err != nil {
		t.Fatal(err)
	}
	after := m.chart(chart.OperatorName)
	text := func(o *unstructured.Unstructured) string {
		s, _, _ := unstructured.NestedString(o.Object, "spec", "valuesContent")
		return s
	}
	if text(before) == text(after) || len(chart.Differences(after, before)) > 0 ||
		!strings.Contains(text(after), "sweep 7") {
		t.Errorf("reapplied:\n%s\nbefore:\n%s", text(after), text(before))
	}
	if changed, err := ApplyChart(t.Context(), c, stack, driverless); err != nil || changed {
		t.Errorf("after reapplying: changed %v, %v", changed, err)
	}
}

func TestSecondDevicePluginIsRejectedByName(t *testing.T) {
	for name, ds := range map[string]*appsv1.DaemonSet{
		"in another namespace":     daemonSet("kube-system", "nvidia-device-plugin-daemonset", pluginImage, true, 1, 1),
		"in the stack's namespace": daemonSet("gpu-operator", "mine", pluginImage, true, 1, 1),
		"from the other stack": released(daemonSet("nvidia-device-plugin", "nvidia-device-plugin", pluginImage,
			true, 1, 1), "nvidia-device-plugin"),
		"from an operator in another namespace": func() *appsv1.DaemonSet {
			ds := operatorsPlugin(1, 1)
			ds.Namespace = "nvidia"
			return ds
		}(),
	} {
		c, m := cluster(ds)
		_, err := ApplyChart(t.Context(), c, chart.Stack{Kind: api.GPUStackOperator}, driverless)
		var f *gpu.Failure
		if !errors.As(err, &f) || f.Kind != gpu.SecondDevicePlugin || f.DaemonSet != ds.Namespace+"/"+ds.Name ||
			m.applied != 0 {
			t.Errorf("%s: got %v (%+v), applied %d times", name, err, f, m.applied)
		}
	}
	c, _ := cluster(operatorsPlugin(1, 1), daemonSet("gpu-operator", "gpu-feature-discovery", pluginImage, false, 1, 1))
	if _, err := ApplyChart(t.Context(), c, chart.Stack{Kind: api.GPUStackOperator}, driverless); err != nil {
		t.Errorf("the operator's own: %v", err)
	}
}

func TestOtherStackIsRemovedFirst(t *testing.T) {
	plugin := released(daemonSet("nvidia-device-plugin", "nvidia-device-plugin", pluginImage, true, 1, 1),
		"nvidia-device-plugin")
	c, m := cluster(plugin)
	m.put(rendered(t, api.GPUStackDevicePlugin, withDriver))
	m.uninstall = func(string) {
		if err := c.core.AppsV1().DaemonSets(plugin.Namespace).Delete(t.Context(), plugin.Name,
			metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	if changed, err := ApplyChart(t.Context(), c, chart.Stack{Kind: api.GPUStackOperator}, withDriver); err != nil ||
		!changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if m.chart(chart.PluginName) != nil || m.chart(chart.OperatorName) == nil {
		t.Errorf("the objects are %v", slices.Sorted(maps.Keys(m.there)))
	}

	unmanaged, m := cluster()
	theirs := rendered(t, api.GPUStackDevicePlugin, withDriver)
	theirs.SetLabels(nil)
	m.put(theirs)
	_, err := ApplyChart(t.Context(), unmanaged, chart.Stack{Kind: api.GPUStackOperator}, withDriver)
	var f *gpu.Failure
	if !errors.As(err, &f) || f.Kind != gpu.SecondDevicePlugin ||
		!strings.Contains(err.Error(), "kube-system/nvidia-device-plugin") || m.chart(chart.PluginName) == nil {
		t.Errorf("a chart that skyctl does not manage: %v", err)
	}
}

func TestWaitForTheOtherStackEndsWithItsContext(t *testing.T) {
	c, m := cluster(released(daemonSet("nvidia-device-plugin", "nvidia-device-plugin", pluginImage, true, 1, 1),
		"nvidia-device-plugin"))
	m.put(rendered(t, api.GPUStackDevicePlugin, withDriver))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := ApplyChart(ctx, c, chart.Stack{Kind: api.GPUStackOperator}, withDriver)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nvidia-device-plugin to be gone") ||
		m.applied != 0 {
		t.Errorf("got %v, applied %d times", err, m.applied)
	}
}

func TestStackDriftIsNamedAndRepaired(t *testing.T) {
	stack := chart.Stack{Kind: api.GPUStackOperator}
	for says, change := range map[string]func(*Client, *memory){
		"": func(*Client, *memory) {},
		"HelmChart kube-system/gpu-operator was removed": func(_ *Client, m *memory) {
			delete(m.there, objectPath(chart.HelmCharts, chart.ControllerNamespace, chart.OperatorName))
		},
		"HelmChart kube-system/gpu-operator: version is v1.0.0, should be v26.3.2": func(_ *Client, m *memory) {
			m.chart(chart.OperatorName).Object["spec"].(map[string]any)["version"] = "v1.0.0"
		},
		"the DaemonSet of the device plugin in gpu-operator was deleted": func(c *Client, _ *memory) {
			_ = c.core.AppsV1().DaemonSets("gpu-operator").Delete(context.Background(),
				"nvidia-device-plugin-daemonset", metav1.DeleteOptions{})
		},
		"Deployment gpu-operator/gpu-operator was deleted": func(c *Client, _ *memory) {
			_ = c.core.AppsV1().Deployments("gpu-operator").Delete(context.Background(), "gpu-operator",
				metav1.DeleteOptions{})
		},
		"Helm release gpu-operator/gpu-operator was uninstalled": func(c *Client, _ *memory) {
			_ = c.core.CoreV1().Secrets("gpu-operator").Delete(context.Background(),
				"sh.helm.release.v1.gpu-operator.v1", metav1.DeleteOptions{})
		},
		"ClusterPolicy cluster-policy: devicePlugin.enabled is false, should be true": func(_ *Client, m *memory) {
			m.put(policy("ready", map[string]any{"devicePlugin": map[string]any{"enabled": false}}))
		},
		"ClusterPolicy cluster-policy was removed": func(_ *Client, m *memory) {
			delete(m.there, objectPath(clusterPolicies, "", policyName))
		},
	} {
		c, m := operatorsCluster(t)
		change(c, m)
		for _, d := range []*gpu.Driver{&withDriver, nil} {
			found, err := FindDrift(t.Context(), c, stack, d)
			if got := strings.Join(found, "\n"); err != nil || got != says {
				t.Errorf("driver %v: got %q, %v, want %q", d, got, err, says)
			}
		}
		if err := ReapplyChart(t.Context(), c, stack, withDriver, "now"); err != nil {
			t.Fatal(err)
		}
		found, err := FindDrift(t.Context(), c, stack, &withDriver)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range found { // the Helm controller restores the rest
			if strings.HasPrefix(line, "HelmChart") || strings.Contains(line, ".enabled") {
				t.Errorf("after repairing %q: %q", says, line)
			}
		}
	}
}

func TestDevicePluginStackDriftsWithoutAPolicy(t *testing.T) {
	c, m := cluster(released(daemonSet("nvidia-device-plugin", "nvidia-device-plugin", pluginImage, true, 1, 1),
		"nvidia-device-plugin"))
	m.put(rendered(t, api.GPUStackDevicePlugin, withDriver))
	found, err := FindDrift(t.Context(), c, chart.Stack{Kind: api.GPUStackDevicePlugin}, nil)
	if err != nil || len(found) != 1 || !strings.Contains(found[0],
		"Helm release nvidia-device-plugin/nvidia-device-plugin was uninstalled") {
		t.Errorf("got %q, %v", found, err)
	}
}
