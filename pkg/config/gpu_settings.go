package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/release"
)

// Defaults of the GPU stack: the pinned versions of its charts, and how long it may take, for a driver that is built on
// the machines takes 20 minutes by itself.
const (
	DefaultGPUOperatorVersion = "v26.3.2"
	DefaultGPUPluginVersion   = "0.19.2"
	defaultGPUTimeout         = "30m"
)

// GPU says which software makes accelerators known to Kubernetes, and where it comes from.
type GPU struct {
	ChartRepo        string // a chart repository or oci:// registry for both charts; empty: NVIDIA's own
	OperatorVersion  string // of the chart gpu-operator
	PluginVersion    string // of the chart nvidia-device-plugin
	ValuesFile       string // a person's own values for the operator's chart
	PluginValuesFile string // the same for the device plugin's
	// registry with the images of nvcr.io and registry.k8s.io under their paths there; empty: from home
	ImageMirror string
	TestImage   string // what each node's accelerator is tried with; empty: NVIDIA's vectorAdd
	Timeout     time.Duration
}

var (
	// An image's name may have a registry with a port; its tag may have capitals.
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
	return checkPattern(mirrorPattern, v, "a registry without a scheme, with a path or without, such as "+
		"registry.example.com/mirror")
}

// checkChartRepo refuses what is no repository, and credentials, which everybody could read on the cluster.
func checkChartRepo(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || !strings.Contains(" https http oci ", " "+u.Scheme+" ") {
		return errors.New("the address of a chart repository, such as https://charts.example.com/nvidia or " +
			"oci://registry.example.com/charts")
	}
	if u.User != nil {
		return errors.New("an address without a name and a password in it")
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
