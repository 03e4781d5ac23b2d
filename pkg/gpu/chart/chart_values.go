package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/release"
	"sigs.k8s.io/yaml"
)

// containerdSocket is the socket of RKE2's containerd, which the operator's toolkit configures and restarts
// (https://docs.rke2.io/advanced#deploy-nvidia-operator).
const containerdSocket = "/run/k3s/containerd/containerd.sock"

// runtimeClass is RKE2's name of the runtime of NVIDIA's toolkit, if the toolkit is on the machine.
const runtimeClass = "nvidia"

// reservedValues are the values that follow from the spec and from the machines, with what a user changes instead.
var reservedValues = map[string]map[string]string{
	api.GPUStackOperator: {
		"devicePlugin.enabled": "exactly one device plugin can run on a node, and --gpu_stack selects it",
		"driver.enabled":       "it follows from the machines: use an image with or without a driver",
	},
	api.GPUStackDevicePlugin: {
		"devicePlugin.enabled": "exactly one device plugin can run on a node, and --gpu_stack selects it",
	},
}

// chartValues returns the values of the stack's chart: those that it needs on RKE2 with this driver, overlaid with the
// user's.
func (s Stack) chartValues(d gpu.Driver) (map[string]any, error) {
	var ours map[string]any
	var err error
	switch s.Kind {
	case api.GPUStackOperator:
		ours, err = s.operatorValues(d)
	case api.GPUStackDevicePlugin:
		ours, err = s.pluginValues(d)
	default:
		err = fmt.Errorf("the GPU stack %q has no chart", s.Kind)
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkExtraValues(); err != nil {
		return nil, err
	}
	return mergeValues(ours, s.Values), nil
}

func (s Stack) operatorValues(d gpu.Driver) (map[string]any, error) {
	cdi, err := s.usesCDIByDefault()
	if err != nil {
		return nil, err
	}
	v := map[string]any{
		"devicePlugin": map[string]any{"enabled": true},
		"driver":       map[string]any{"enabled": !d.Installed},
		// CONTAINERD_CONFIG stays unset: set to a template of RKE2, it breaks containerd at the next reboot
		// (https://github.com/NVIDIA/gpu-operator/issues/992).
		"toolkit": map[string]any{"enabled": true, "env": []any{
			map[string]any{"name": "CONTAINERD_SOCKET", "value": containerdSocket},
		}},
	}
	if cdi {
		v["cdi"] = map[string]any{"enabled": true}
	}
	s.setMirrorImages(v, operatorImages)
	return v, nil
}

// pluginValues passes devices to containers through CDI, so that pods need no runtime class. The plugin itself needs
// the toolkit's runtime to see the driver. Without the operator nothing else labels nodes for the chart's affinity:
// stack.MarkNode does.
func (s Stack) pluginValues(d gpu.Driver) (map[string]any, error) {
	if !d.Installed {
		return nil, &gpu.Failure{Kind: gpu.DriverMissing,
			Message: "--gpu_stack device-plugin needs an image with NVIDIA's driver and container toolkit, but these " +
				"machines have no driver: use --gpu_stack operator, or set such an image with --image_id"}
	}
	v := map[string]any{
		"devicePlugin":       map[string]any{"enabled": true},
		"gfd":                map[string]any{"enabled": false},
		"runtimeClassName":   runtimeClass,
		"deviceListStrategy": "cdi-cri",
		"nvidiaDriverRoot":   "/",
	}
	s.setMirrorImages(v, pluginImages)
	return v, nil
}

// usesCDIByDefault reports whether pods get devices without a runtime class, as with the operator since 25.10
// (https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/25.10/cdi.html).
func (s Stack) usesCDIByDefault() (bool, error) {
	v, err := parseChartVersion(s.OperatorVersion)
	return err == nil && v.IsAtLeast(25, 10), err
}

func parseChartVersion(version string) (release.Version, error) {
	v, err := release.Parse(version)
	if err != nil {
		return v, fmt.Errorf("%q is not a chart version such as %s", version, DefaultOperatorVersion)
	}
	return v, nil
}

// RuntimeClass returns the runtimeClassName that a pod needs to use an accelerator; empty if it needs none.
func (s Stack) RuntimeClass() string {
	if cdi, err := s.usesCDIByDefault(); s.Kind == api.GPUStackOperator && err == nil && !cdi {
		return runtimeClass
	}
	return ""
}

// operatorImages are the values with image repositories in the operator's chart, including Node Feature Discovery, that
// these clusters can run, and the paths of the images in the registry.
var operatorImages = map[string]string{
	"operator.repository":                     "nvidia",
	"validator.repository":                    "nvidia",
	"driver.repository":                       "nvidia",
	"driver.manager.repository":               "nvidia/cloud-native",
	"toolkit.repository":                      "nvidia/k8s",
	"devicePlugin.repository":                 "nvidia",
	"gfd.repository":                          "nvidia",
	"dcgm.repository":                         "nvidia/cloud-native",
	"dcgmExporter.repository":                 "nvidia/k8s",
	"migManager.repository":                   "nvidia/cloud-native",
	"nodeStatusExporter.repository":           "nvidia",
	"node-feature-discovery.image.repository": "nfd/node-feature-discovery",
}

var pluginImages = map[string]string{
	"image.repository": "nvidia/k8s-device-plugin",
}

// setMirrorImages points images at the mirror, under the paths of the original registry.
func (s Stack) setMirrorImages(values map[string]any, images map[string]string) {
	if s.Mirror == "" {
		return
	}
	for key, path := range images {
		setValueAt(values, key, strings.TrimSuffix(s.Mirror, "/")+"/"+path)
	}
}

// MirroredImage returns an image's name in the mirror.
func (s Stack) MirroredImage(image string) string {
	_, path, ok := strings.Cut(image, "/")
	if s.Mirror == "" || !ok {
		return image
	}
	return strings.TrimSuffix(s.Mirror, "/") + "/" + path
}

// ReadValues reads a user's extra values for a chart; an empty name returns none.
func ReadValues(file string) (map[string]any, error) {
	if file == "" {
		return nil, nil
	}
	b, err := regularfile.Read(file, regularfile.SmallFile)
	if err != nil {
		return nil, fmt.Errorf("reading the values for the GPU stack's chart: %w", err)
	}
	var v map[string]any
	if err := yaml.UnmarshalStrict(b, &v); err != nil {
		return nil, fmt.Errorf("reading the values for the GPU stack's chart in %s: %w", file, err)
	}
	return v, nil
}

// checkExtraValues rejects extra values that would break the stack.
func (s Stack) checkExtraValues() error {
	for _, key := range slices.Sorted(maps.Keys(reservedValues[s.Kind])) {
		if _, isSet := ValueAt(s.Values, key); isSet {
			return fmt.Errorf("the extra values for the GPU stack must not set %s: %s", key,
				reservedValues[s.Kind][key])
		}
	}
	env, _ := ValueAt(s.Values, "toolkit.env")
	list, isList := env.([]any)
	if env != nil && !isList {
		return fmt.Errorf("the extra values for the GPU stack set toolkit.env to something other than a list of " +
			"names and values")
	}
	for _, e := range list {
		m, _ := e.(map[string]any)
		value, _ := m["value"].(string)
		if m["name"] == "CONTAINERD_CONFIG" && strings.HasSuffix(value, ".tmpl") {
			return fmt.Errorf("the extra values for the GPU stack set CONTAINERD_CONFIG to %s, which breaks "+
				"containerd at the next reboot (NVIDIA/gpu-operator#992); remove it, CONTAINERD_SOCKET is enough",
				value)
		}
	}
	return nil
}

// mergeValues overlays over on base: maps by key, environment variables by name, and everything else as a whole.
func mergeValues(base, over map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range over {
		switch v := v.(type) {
		case map[string]any:
			under, _ := out[k].(map[string]any)
			out[k] = mergeValues(under, v)
		case []any:
			if under, ok := out[k].([]any); ok && k == "env" {
				out[k] = mergeEnv(under, v)
				continue
			}
			out[k] = v
		default:
			out[k] = v
		}
	}
	return out
}

func mergeEnv(base, over []any) []any {
	out := slices.Clone(base)
	for _, v := range over {
		name, named := ValueAt(v, "name")
		i := slices.IndexFunc(out, func(o any) bool { n, _ := ValueAt(o, "name"); return named && n == name })
		if i < 0 {
			out = append(out, v)
		} else {
			out[i] = v
		}
	}
	return out
}

// setValueAt sets the value at a dotted path.
func setValueAt(values map[string]any, path string, v any) {
	key, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		values[key] = v
		return
	}
	under, ok := values[key].(map[string]any)
	if !ok {
		under = map[string]any{}
		values[key] = under
	}
	setValueAt(under, rest, v)
}

// ValueAt returns the value at a dotted path.
func ValueAt(values any, path string) (any, bool) {
	key, rest, deeper := strings.Cut(path, ".")
	m, _ := values.(map[string]any)
	v, ok := m[key]
	if !deeper || !ok {
		return v, ok
	}
	return ValueAt(v, rest)
}
