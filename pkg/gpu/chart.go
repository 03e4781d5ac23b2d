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
	// Repo is a chart repository (https://, http://) or a registry with charts (oci://) for both charts; empty: NVIDIA's own.
	Repo string
	// OperatorVersion and PluginVersion are versions of the charts; empty: the pinned ones.
	OperatorVersion, PluginVersion string
	// Values are a person's own, for the chart of this Kind.
	Values map[string]any
	// Mirror is a registry, with a path or without, that has the images of nvcr.io and registry.k8s.io under their paths
	// there; empty: they come from home.
	Mirror string
}

// filled is the stack with the pinned versions where nobody chose others.
func (s Stack) filled() Stack {
	if s.OperatorVersion == "" {
		s.OperatorVersion = DefaultOperatorVersion
	}
	if s.PluginVersion == "" {
		s.PluginVersion = DefaultPluginVersion
	}
	return s
}

// name is what chart, HelmChart, Helm release and namespace of a stack are called.
func name(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return pluginName
	}
	return operatorName
}

// Namespace is where what the chart of a stack installs runs.
func Namespace(kind string) string { return name(kind) }

// other is the stack that must not be there beside this one.
func other(kind string) string {
	if kind == api.GPUStackDevicePlugin {
		return api.GPUStackOperator
	}
	return api.GPUStackDevicePlugin
}

// HelmChart renders the resource that has RKE2's Helm controller install the stack on machines with this driver.
func (s Stack) HelmChart(d Driver) (*unstructured.Unstructured, error) {
	s = s.filled()
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
	if _, err := from(version, 0, 0); err != nil {
		return fail(err)
	}
	values, err := s.values(d)
	if err != nil {
		return fail(err)
	}
	content, err := yaml.Marshal(values)
	if err != nil {
		return fail(err)
	}
	spec := map[string]any{
		"version":         version,
		"targetNamespace": Namespace(s.Kind),
		"createNamespace": true,
		"valuesContent":   string(content),
	}
	if strings.HasPrefix(repo, "oci://") {
		spec["chart"] = repo + "/" + name(s.Kind)
	} else {
		spec["repo"], spec["chart"] = repo, name(s.Kind)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": helmCharts.GroupVersion().String(),
		"kind":       "HelmChart",
		"metadata": map[string]any{
			"name": name(s.Kind), "namespace": chartNamespace,
			"labels": map[string]any{"app.kubernetes.io/managed-by": FieldManager},
		},
		"spec": spec,
	}}, nil
}

// differences says in which of the fields that we own a HelmChart differs from what it should be. Values are compared by
// what they mean, so that a comment or another order is no difference.
func differences(live, want *unstructured.Unstructured) []string {
	var found []string
	wantSpec, _ := want.Object["spec"].(map[string]any)
	liveSpec, _ := live.Object["spec"].(map[string]any)
	for _, key := range sortedKeys(wantSpec) {
		w, l := wantSpec[key], liveSpec[key]
		if key == "valuesContent" {
			if diff := valueDifferences(parseValues(l), parseValues(w), ""); len(diff) > 0 {
				found = append(found, diff...)
			}
			continue
		}
		if !reflect.DeepEqual(l, w) {
			found = append(found, fmt.Sprintf("%s is %v, should be %v", key, shown(l), shown(w)))
		}
	}
	return found
}

func parseValues(content any) map[string]any {
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
			found = append(found, fmt.Sprintf("value %s%s is %v, should be %v", path, key, shown(live[key]), shown(want[key])))
		}
	}
	for _, key := range sortedKeys(live) {
		if _, ours := want[key]; !ours {
			found = append(found, fmt.Sprintf("value %s%s is %v, should be unset", path, key, shown(live[key])))
		}
	}
	return found
}

func shown(v any) any {
	if v == nil {
		return "unset"
	}
	return v
}
