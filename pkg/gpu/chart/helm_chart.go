// Package chart renders the HelmChart resource from which RKE2's Helm controller installs the GPU Operator or only the
// device plugin, and reports how a live one differs.
package chart

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// The names of the two charts and of their releases. NVIDIA's documentation uses the same names, so its commands work
// on these clusters.
const (
	OperatorName = "gpu-operator"
	PluginName   = "nvidia-device-plugin"
	// ControllerNamespace is the namespace in which RKE2's Helm controller reads HelmCharts.
	ControllerNamespace = "kube-system"
)

// HelmCharts is the resource of RKE2's Helm controller.
var HelmCharts = schema.GroupVersionResource{Group: "helm.cattle.io", Version: "v1", Resource: "helmcharts"}

// The defaults. The device plugin has the version that this operator also installs.
const (
	DefaultOperatorVersion = "v26.3.2"
	DefaultPluginVersion   = "0.19.2"
	DefaultOperatorRepo    = "https://helm.ngc.nvidia.com/nvidia"
	DefaultPluginRepo      = "https://nvidia.github.io/k8s-device-plugin"
	// DefaultTestImage adds two vectors on an accelerator and exits.
	DefaultTestImage = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"
)

// Stack is what is installed, and from where.
type Stack struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Repo is a chart repository (https://, http://) or an OCI registry (oci://) for both charts; empty means NVIDIA's.
	Repo string
	// OperatorVersion and PluginVersion are chart versions; empty means the defaults.
	OperatorVersion, PluginVersion string
	// Values are the user's extra values for the chart of this Kind.
	Values map[string]any
	// Mirror is a registry, with or without a path, that has the images of nvcr.io and registry.k8s.io under the same
	// paths; empty means the original registries.
	Mirror string
}

// ForSpec returns the stack of a cluster: the settings of its spec, and s for the rest.
func (s Stack) ForSpec(spec api.GroupSpec) Stack {
	s.Repo = cmp.Or(spec.GPU.ChartRepo, s.Repo)
	s.OperatorVersion = cmp.Or(spec.GPU.OperatorVersion, s.OperatorVersion)
	s.PluginVersion = cmp.Or(spec.GPU.PluginVersion, s.PluginVersion)
	s.Mirror = cmp.Or(spec.GPU.ImageMirror, s.Mirror)
	return s
}

// withDefaults fills empty versions with the defaults.
func (s Stack) withDefaults() Stack {
	if s.OperatorVersion == "" {
		s.OperatorVersion = DefaultOperatorVersion
	}
	if s.PluginVersion == "" {
		s.PluginVersion = DefaultPluginVersion
	}
	return s
}

// NameOf returns the name of a stack's chart, HelmChart, Helm release and namespace.
func NameOf(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return PluginName
	}
	return OperatorName
}

// NamespaceOf returns the namespace of what the chart of a stack installs.
func NamespaceOf(kind string) string { return NameOf(kind) }

// OtherKind returns the stack that must not run together with this one.
func OtherKind(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return api.GPUStackOperator
	}
	return api.GPUStackDevicePlugin
}

// RenderHelmChart renders the HelmChart from which RKE2's Helm controller installs the stack on machines with this
// driver.
func (s Stack) RenderHelmChart(d gpu.Driver) (*unstructured.Unstructured, error) {
	s = s.withDefaults()
	fail := func(err error) (*unstructured.Unstructured, error) {
		return nil, fmt.Errorf("rendering the chart of the GPU stack %s: %w", s.Kind, err)
	}
	version, repo := s.OperatorVersion, DefaultOperatorRepo
	if s.Kind == api.GPUStackDevicePlugin {
		version, repo = s.PluginVersion, DefaultPluginRepo
	}
	if s.Repo != "" {
		repo = strings.TrimSuffix(s.Repo, "/")
	}
	if _, err := parseChartVersion(version); err != nil {
		return fail(err)
	}
	values, err := s.chartValues(d)
	if err != nil {
		return fail(err)
	}
	content, err := yaml.Marshal(values)
	if err != nil {
		return fail(err)
	}
	spec := map[string]any{
		"version":         version,
		"targetNamespace": NamespaceOf(s.Kind),
		"createNamespace": true,
		"valuesContent":   string(content),
	}
	if strings.HasPrefix(repo, "oci://") {
		spec["chart"] = repo + "/" + NameOf(s.Kind)
	} else {
		spec["repo"], spec["chart"] = repo, NameOf(s.Kind)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": HelmCharts.GroupVersion().String(),
		"kind":       "HelmChart",
		"metadata": map[string]any{
			"name": NameOf(s.Kind), "namespace": ControllerNamespace,
			"labels": map[string]any{"app.kubernetes.io/managed-by": gpu.FieldManager},
		},
		"spec": spec,
	}}, nil
}

// Differences lists the fields owned by skyctl in which a HelmChart differs from what it should be. It compares the
// meaning of values, not comments or order.
func Differences(live, want *unstructured.Unstructured) []string {
	var found []string
	wantSpec, _ := want.Object["spec"].(map[string]any)
	liveSpec, _ := live.Object["spec"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(wantSpec)) {
		w, l := wantSpec[key], liveSpec[key]
		if key == "valuesContent" {
			if diff := valueDifferences(ParseValues(l), ParseValues(w), ""); len(diff) > 0 {
				found = append(found, diff...)
			}
			continue
		}
		if !reflect.DeepEqual(l, w) {
			found = append(found, fmt.Sprintf("%s is %v, should be %v", key, valueOrUnset(l), valueOrUnset(w)))
		}
	}
	return found
}

// ParseValues parses the valuesContent of a HelmChart; nil if it is not YAML.
func ParseValues(content any) map[string]any {
	s, _ := content.(string)
	var v map[string]any
	if err := yaml.Unmarshal([]byte(s), &v); err != nil {
		return nil
	}
	return v
}

func valueDifferences(live, want map[string]any, path string) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		w, isMap := want[key].(map[string]any)
		l, _ := live[key].(map[string]any)
		switch {
		case isMap:
			found = append(found, valueDifferences(l, w, path+key+".")...)
		case !reflect.DeepEqual(live[key], want[key]):
			found = append(found, fmt.Sprintf("value %s%s is %v, should be %v", path, key, valueOrUnset(live[key]),
				valueOrUnset(want[key])))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, ours := want[key]; !ours {
			found = append(found, fmt.Sprintf("value %s%s is %v, should be unset", path, key, valueOrUnset(live[key])))
		}
	}
	return found
}

func valueOrUnset(v any) any {
	if v == nil {
		return "unset"
	}
	return v
}
