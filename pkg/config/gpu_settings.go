package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/release"
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

var (
	// An image's name can start with a registry and a port; its tag can have capitals.
	testImagePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?` +
		`(@sha256:[0-9a-f]{64})?$`)
	mirrorPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)*/?$`)
)

func checkChartVersion(v string) error {
	if _, err := release.Parse(v); err != nil {
		return errors.New("the version of a chart, such as " + DefaultGPUOperatorVersion)
	}
	return nil
}

func checkTestImage(v string) error {
	return checkPattern(testImagePattern, v, "an image with its tag, such as "+
		"registry.example.com/cuda-sample:vectoradd")
}

func checkMirror(v string) error {
	return checkPattern(mirrorPattern, v, "a registry without a scheme and with an optional path, such as "+
		"registry.example.com/mirror")
}

// checkChartRepo rejects invalid addresses, and credentials in them, because every user of the cluster could read them.
func checkChartRepo(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || !strings.Contains(" https http oci ", " "+u.Scheme+" ") {
		return errors.New("the address of a chart repository, such as https://charts.example.com/nvidia or " +
			"oci://registry.example.com/charts")
	}
	if u.User != nil {
		return errors.New("an address without a name and a password")
	}
	return nil
}

func gpuSettings() []setting {
	gpu := func(field func(*GPU) *string) func(*Config) *string {
		return func(c *Config) *string { return field(&c.GPU) }
	}
	return []setting{
		textSetting("gpu.chartRepo", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.ChartRepo
		}), checkChartRepo),
		textSetting("gpu.operatorVersion", DefaultGPUOperatorVersion, "", noProgram,
			gpu(func(g *GPU) *string { return &g.OperatorVersion }), checkChartVersion),
		textSetting("gpu.pluginVersion", DefaultGPUPluginVersion, "", noProgram,
			gpu(func(g *GPU) *string { return &g.PluginVersion }), checkChartVersion),
		pathSetting("gpu.valuesFile", "", noProgram, gpu(func(g *GPU) *string { return &g.ValuesFile })),
		pathSetting("gpu.pluginValuesFile", "", noProgram, gpu(func(g *GPU) *string { return &g.PluginValuesFile })),
		textSetting("gpu.imageMirror", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.ImageMirror
		}), checkMirror),
		textSetting("gpu.testImage", "", "", noProgram, gpu(func(g *GPU) *string {
			return &g.TestImage
		}), checkTestImage),
		durationSetting("gpu.timeout", defaultGPUTimeout, 10*time.Second, false,
			func(c *Config) *time.Duration { return &c.GPU.Timeout }),
	}
}
