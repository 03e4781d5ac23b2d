package config

import (
	"strings"
	"testing"
	"time"
)

func TestGPUStackVersionsAreConfigurable(t *testing.T) {
	if got, want := mustLoadSettings(t, "", nil).GPU, (GPU{OperatorVersion: "v26.3.2", PluginVersion: "0.19.2",
		Timeout: 30 * time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	c := mustLoadSettings(t, "gpu: {chartRepo: 'oci://registry.example.com/charts', operatorVersion: v25.3.4, "+
		"valuesFile: gpu.yaml, imageMirror: 'registry:5000/m', timeout: 45m}", map[string]string{
		"SKYCTL_GPU_TEST_IMAGE": "docker.io/skyctl/hello:kit", "SKYCTL_GPU_OPERATOR_VERSION": "25.10.1",
		"SKYCTL_GPU_PLUGIN_VERSION": "v0.20.0-rc.1", "SKYCTL_GPU_PLUGIN_VALUES_FILE": "/etc/plugin.yaml",
	})
	want := GPU{ChartRepo: "oci://registry.example.com/charts", OperatorVersion: "25.10.1",
		PluginVersion: "v0.20.0-rc.1", ValuesFile: c.Dir + "/gpu.yaml",
		PluginValuesFile: "/etc/plugin.yaml", ImageMirror: "registry:5000/m",
		TestImage: "docker.io/skyctl/hello:kit", Timeout: 45 * time.Minute}
	if c.GPU != want {
		t.Errorf("got %+v, want %+v", c.GPU, want)
	}
}

func TestInvalidGPUSettingsAreRejected(t *testing.T) {
	for _, bad := range []struct{ env, value, says string }{
		{"SKYCTL_GPU_OPERATOR_VERSION", "latest", "such as v26.3.2"},
		{"SKYCTL_GPU_OPERATOR_VERSION", "v26.3", "such as v26.3.2"},
		{"SKYCTL_GPU_PLUGIN_VERSION", "0.19.2 ", "the version of a chart"},
		{"SKYCTL_GPU_CHART_REPO", "charts.example.com", "chart repository"},
		{"SKYCTL_GPU_CHART_REPO", "file:///charts", "chart repository"},
		{"SKYCTL_GPU_CHART_REPO", "https://ann:secret@charts.example.com", "without a name and a password"},
		{"SKYCTL_GPU_IMAGE_MIRROR", "https://registry.example.com", "without a scheme"},
		{"SKYCTL_GPU_TEST_IMAGE", "An Image", "with its tag"},
		{"SKYCTL_GPU_TIMEOUT", "5s", ""},
	} {
		_, err := loadSettings(t, "", map[string]string{bad.env: bad.value})
		if err == nil || !strings.Contains(err.Error(), bad.env) || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s=%q: got %v", bad.env, bad.value, err)
		}
	}
}
