package gpu

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// What is installed where nobody chose otherwise. The device plugin is the release that this operator brings too.
const (
	DefaultOperatorVersion = "v26.3.2"
	DefaultPluginVersion   = "0.19.2"
	DefaultOperatorRepo    = "https://helm.ngc.nvidia.com/nvidia"
	DefaultPluginRepo      = "https://nvidia.github.io/k8s-device-plugin"
	// DefaultTestImage adds two vectors on an accelerator and ends.
	DefaultTestImage = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"
)

// Stack says what is installed, and from where.
type Stack struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Repo is a chart repository (https://, http://) or a registry with charts (oci://) for both charts; empty:
	// NVIDIA's own.
	Repo string
	// OperatorVersion and PluginVersion are versions of the charts; empty: the pinned ones.
	OperatorVersion, PluginVersion string
	// Values are a person's own, for the chart of this Kind.
	Values map[string]any
	// Mirror is a registry, with a path or without, that has the images of nvcr.io and registry.k8s.io under their
	// paths there; empty: they come from home.
	Mirror string
}

// withDefaults is the stack with the pinned versions where nobody chose others.
func (s Stack) withDefaults() Stack {
	if s.OperatorVersion == "" {
		s.OperatorVersion = DefaultOperatorVersion
	}
	if s.PluginVersion == "" {
		s.PluginVersion = DefaultPluginVersion
	}
	return s
}

// chartName is what chart, RenderHelmChart, Helm release and namespace of a stack are called.
func chartName(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return pluginName
	}
	return operatorName
}

// NamespaceOf is where what the chart of a stack installs runs.
func NamespaceOf(kind string) string { return chartName(kind) }

// otherStackKind is the stack that must not be there beside this one.
func otherStackKind(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return api.GPUStackOperator
	}
	return api.GPUStackDevicePlugin
}

// RenderHelmChart renders the resource that has RKE2's Helm controller install the stack on machines with this driver.
func (s Stack) RenderHelmChart(d Driver) (*unstructured.Unstructured, error) {
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
		spec["chart"] = repo + "/" + chartName(s.Kind)
	} else {
		spec["repo"], spec["chart"] = repo, chartName(s.Kind)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": helmCharts.GroupVersion().String(),
		"kind":       "HelmChart",
		"metadata": map[string]any{
			"name": chartName(s.Kind), "namespace": chartNamespace,
			"labels": map[string]any{"app.kubernetes.io/managed-by": FieldManager},
		},
		"spec": spec,
	}}, nil
}

// chartDifferences says in which of the fields that we own a RenderHelmChart differs from what it should be. Values are
// compared by what they mean, so that a comment or another order is no difference.
func chartDifferences(live, want *unstructured.Unstructured) []string {
	var found []string
	wantSpec, _ := want.Object["spec"].(map[string]any)
	liveSpec, _ := live.Object["spec"].(map[string]any)
	for _, key := range sortedKeys(wantSpec) {
		w, l := wantSpec[key], liveSpec[key]
		if key == "valuesContent" {
			if diff := valueDifferences(parseChartValues(l), parseChartValues(w), ""); len(diff) > 0 {
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

func parseChartValues(content any) map[string]any {
	s, _ := content.(string)
	var v map[string]any
	if err := yaml.Unmarshal([]byte(s), &v); err != nil {
		return nil
	}
	return v
}

func valueDifferences(live, want map[string]any, path string) []string {
	var found []string
	for _, key := range sortedKeys(want) {
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
	for _, key := range sortedKeys(live) {
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
