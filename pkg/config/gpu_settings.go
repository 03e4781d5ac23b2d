package config

import (
	"errors"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Defaults of the GPU stack: the pinned versions of its charts, and its timeout. Building a driver on the machines
// takes 20 minutes.
const (
	DefaultGPUOperatorVersion = "v26.3.2"
	DefaultGPUPluginVersion   = "0.19.2"
	defaultGPUTimeout         = "30m"
)

// GPU configures the software that makes accelerators available in Kubernetes, and its source.
type GPU struct {
	ChartRepo        string // a chart repository or oci:// registry for both charts; empty: NVIDIA's own
	OperatorVersion  string // of the chart gpu-operator
	PluginVersion    string // of the chart nvidia-device-plugin
	ValuesFile       string // the user's values for the operator's chart
	PluginValuesFile string // the user's values for the device plugin's chart
	// registry with the images of nvcr.io and registry.k8s.io under the same paths; empty: the original registries
	ImageMirror string
	TestImage   string // tests the accelerators of each node; empty: NVIDIA's vectorAdd
	Timeout     time.Duration
}

// checkWith makes the check of a setting that fills a field of a cluster.
func checkWith(isValid func(string) bool, want string) func(string) error {
	return func(v string) error {
		if !isValid(v) {
			return errors.New(want)
		}
		return nil
	}
}

func gpuSettings() []setting {
	gpu := func(field func(*GPU) *string) func(*Config) *string {
		return func(c *Config) *string { return field(&c.GPU) }
	}
	return []setting{
		textSetting("gpu.chartRepo", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.ChartRepo
		}), checkWith(api.IsChartRepo, api.WantChartRepo)),
		textSetting("gpu.operatorVersion", DefaultGPUOperatorVersion, "", noProgram,
			gpu(func(g *GPU) *string {
				return &g.OperatorVersion
			}), checkWith(api.IsChartVersion, api.WantChartVersion)),
		textSetting("gpu.pluginVersion", DefaultGPUPluginVersion, "", noProgram,
			gpu(func(g *GPU) *string { return &g.PluginVersion }), checkWith(api.IsChartVersion, api.WantChartVersion)),
		pathSetting("gpu.valuesFile", "", noProgram, gpu(func(g *GPU) *string { return &g.ValuesFile })),
		pathSetting("gpu.pluginValuesFile", "", noProgram, gpu(func(g *GPU) *string { return &g.PluginValuesFile })),
		textSetting("gpu.imageMirror", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.ImageMirror
		}), checkWith(api.IsImageMirror, api.WantImageMirror)),
		textSetting("gpu.testImage", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.TestImage
		}), checkWith(api.IsTestImage, api.WantTestImage)),
		durationSetting("gpu.timeout", defaultGPUTimeout, 10*time.Second, false,
			func(c *Config) *time.Duration { return &c.GPU.Timeout }),
	}
}
