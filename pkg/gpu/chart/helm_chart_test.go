package chart

import (
	"bufio"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

var (
	hasDriver = gpu.Driver{Installed: true, Version: "580.126.20", GPUs: 8}
	noDriver  = gpu.Driver{GPUs: 8}
)

// charts are HelmCharts by the name of their golden file; keys names the chart whose value keys they must use.
var charts = map[string]struct {
	stack  Stack
	driver gpu.Driver
	keys   string
}{
	"operator-no-driver": {Stack{Kind: api.GPUStackOperator}, noDriver, "gpu-operator-v26.3.2"},
	"operator-driver":    {Stack{Kind: api.GPUStackOperator}, hasDriver, "gpu-operator-v26.3.2"},
	"operator-before-cdi": {Stack{Kind: api.GPUStackOperator, OperatorVersion: "v25.3.4"}, hasDriver,
		"gpu-operator-v25.3.4"},
	"operator-mirror": {Stack{Kind: api.GPUStackOperator, Repo: "https://charts.example.com/nvidia/",
		Mirror: "registry.example.com/mirror/"}, noDriver, "gpu-operator-v26.3.2"},
	"operator-oci": {Stack{Kind: api.GPUStackOperator, Repo: "oci://registry.example.com/charts"}, noDriver,
		"gpu-operator-v26.3.2"},
	"operator-extra": {Stack{Kind: api.GPUStackOperator, Values: extra()}, noDriver, "gpu-operator-v26.3.2"},
	"device-plugin":  {Stack{Kind: api.GPUStackDevicePlugin}, hasDriver, "nvidia-device-plugin-0.19.2"},
	"device-plugin-mirror": {Stack{Kind: api.GPUStackDevicePlugin, Repo: "http://charts:8080", PluginVersion: "v0.20.0",
		Mirror: "registry:5000"}, hasDriver, "nvidia-device-plugin-0.19.2"},
}

// extra returns extra values of a user: some that skyctl does not set, and a further environment variable.
func extra() map[string]any {
	return map[string]any{
		"driver": map[string]any{"version": "570.172.08"},
		"mig":    map[string]any{"strategy": "mixed"},
		"toolkit": map[string]any{"env": []any{map[string]any{"name": "ACCEPT_NVIDIA_VISIBLE_DEVICES_AS_VOLUME_MOUNTS",
			"value": "true"}}},
	}
}

func TestHelmChartsMatchTheirGoldenFiles(t *testing.T) {
	for file, c := range charts {
		chart, err := c.stack.RenderHelmChart(c.driver)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		b, err := yaml.Marshal(chart.Object)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, file+".yaml", b)
		again, err := c.stack.RenderHelmChart(c.driver)
		if err != nil || len(Differences(again, chart)) > 0 {
			t.Errorf("%s: rendering it again differs: %v %v", file, Differences(again, chart), err)
		}
	}
}

func TestEveryValueIsAKeyOfNVIDIAsChart(t *testing.T) {
	for file, c := range charts {
		chart, err := c.stack.RenderHelmChart(c.driver)
		if err != nil {
			t.Fatal(err)
		}
		content, _, _ := unstructured.NestedString(chart.Object, "spec", "valuesContent")
		known := keysOf(t, c.keys)
		set := paths(ParseValues(content), "")
		if len(set) < 3 {
			t.Errorf("%s sets %q only", file, set)
		}
		for _, key := range set {
			if !known[key] {
				t.Errorf("%s sets %s, which chart %s does not have", file, key, c.keys)
			}
		}
	}
	for _, absent := range []string{"devicePlugin.enable", "node-feature-discovery.image.repo"} {
		if keysOf(t, "gpu-operator-v26.3.2")[absent] {
			t.Errorf("%s counts as a key of the chart", absent)
		}
	}
}

func keysOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "keys", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			keys[s.Text()] = true
		}
	}
	return keys
}

// paths returns the dotted paths of all values that are not maps.
func paths(values map[string]any, under string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		all = append(all, under+key)
		if m, ok := values[key].(map[string]any); ok {
			all = append(all, paths(m, under+key+".")...)
		}
	}
	return all
}

func TestValuesFollowTheDriverAndTheVersion(t *testing.T) {
	for _, c := range []struct {
		stack   Stack
		driver  gpu.Driver
		path    string
		want    any
		present bool
	}{
		{Stack{Kind: "operator"}, noDriver, "driver.enabled", true, true},
		{Stack{Kind: "operator"}, hasDriver, "driver.enabled", false, true},
		{Stack{Kind: "operator"}, hasDriver, "devicePlugin.enabled", true, true},
		{Stack{Kind: "operator"}, hasDriver, "cdi.enabled", true, true},
		{Stack{Kind: "operator", OperatorVersion: "v25.10.0"}, hasDriver, "cdi.enabled", true, true},
		{Stack{Kind: "operator", OperatorVersion: "v25.3.4"}, hasDriver, "cdi", nil, false},
		{Stack{Kind: "operator", OperatorVersion: "24.9.2"}, hasDriver, "cdi", nil, false},
		{Stack{Kind: "device-plugin"}, hasDriver, "devicePlugin.enabled", true, true},
		{Stack{Kind: "device-plugin"}, hasDriver, "gfd.enabled", false, true},
		{Stack{Kind: "operator", Mirror: "r.example.com"}, noDriver, "driver.manager.repository",
			"r.example.com/nvidia/cloud-native", true},
		{Stack{Kind: "operator"}, noDriver, "driver.repository", nil, false},
	} {
		values, err := c.stack.withDefaults().chartValues(c.driver)
		if err != nil {
			t.Errorf("%+v: %v", c.stack, err)
			continue
		}
		if got, ok := ValueAt(values, c.path); ok != c.present || got != c.want {
			t.Errorf("%+v with driver %v: %s is %v, want %v", c.stack, c.driver.Installed, c.path, got, c.want)
		}
	}
}

func TestPodsNeedARuntimeClassOnlyBeforeCDI(t *testing.T) {
	for version, want := range map[string]string{"v26.3.2": "", "v25.10.1": "", "v25.3.4": "nvidia"} {
		if got := (Stack{Kind: "operator", OperatorVersion: version}).RuntimeClass(); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

func TestInvalidStackIsAnError(t *testing.T) {
	env := func(name, value string) map[string]any {
		return map[string]any{"toolkit": map[string]any{"env": []any{map[string]any{"name": name, "value": value}}}}
	}
	for name, c := range map[string]struct {
		stack  Stack
		driver gpu.Driver
		says   string
	}{
		"no version": {Stack{Kind: "operator", OperatorVersion: "latest"}, noDriver,
			`"latest" is not a chart version`},
		"no version of a plugin": {Stack{Kind: "device-plugin", PluginVersion: "0.19"}, hasDriver,
			`"0.19" is not a chart version`},
		"no stack":                {Stack{Kind: "none"}, noDriver, "no chart"},
		"a plugin without driver": {Stack{Kind: "device-plugin"}, noDriver, "--gpu_stack operator"},
		"a disabled device plugin": {Stack{Kind: "operator",
			Values: map[string]any{"devicePlugin": map[string]any{"enabled": false}}},
			noDriver, "devicePlugin.enabled"},
		"a driver against the probe": {Stack{Kind: "operator",
			Values: map[string]any{"driver": map[string]any{"enabled": true}}},
			hasDriver, "driver.enabled"},
		"a template as CONTAINERD_CONFIG": {Stack{Kind: "operator",
			Values: env("CONTAINERD_CONFIG", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl")},
			noDriver, "#992"},
		"an environment that is not a list": {Stack{Kind: "operator",
			Values: map[string]any{"toolkit": map[string]any{"env": "A=b"}}}, noDriver, "toolkit.env"},
	} {
		if chart, err := c.stack.RenderHelmChart(c.driver); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, %v, want an error with %q", name, chart, err, c.says)
		}
	}
	_, err := Stack{Kind: "device-plugin"}.RenderHelmChart(noDriver)
	var f *gpu.Failure
	if !errors.As(err, &f) || f.Kind != gpu.DriverMissing {
		t.Errorf("got %v", err)
	}
}

func TestDifferencesCompareTheMeaningOfValues(t *testing.T) {
	want, err := Stack{Kind: api.GPUStackOperator}.RenderHelmChart(noDriver)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(spec map[string]any)) []string {
		live := want.DeepCopy()
		f(live.Object["spec"].(map[string]any))
		return Differences(live, want)
	}
	content := want.Object["spec"].(map[string]any)["valuesContent"].(string)
	if diff := change(func(s map[string]any) {
		s["valuesContent"] = "# reordered\ntoolkit: {enabled: true, env: [{value: " +
			"/run/k3s/containerd/containerd.sock, name: CONTAINERD_SOCKET}]}\n" +
			"driver: {enabled: true}\ndevicePlugin: {enabled: true}\ncdi: {enabled: true}\n"
		s["backOffLimit"] = int64(3) // not owned by skyctl
	}); len(diff) > 0 {
		t.Errorf("equivalent values differ: %q", diff)
	}
	for says, f := range map[string]func(map[string]any){
		"version is v1.2.3, should be v26.3.2": func(s map[string]any) { s["version"] = "v1.2.3" },
		"repo is unset":                        func(s map[string]any) { delete(s, "repo") },
		"value devicePlugin.enabled is false, should be true": func(s map[string]any) {
			s["valuesContent"] = strings.Replace(content, "devicePlugin:\n  enabled: true",
				"devicePlugin:\n  enabled: false", 1)
		},
		"value mig is map[strategy:mixed], should be unset": func(s map[string]any) {
			s["valuesContent"] = content + "mig: {strategy: mixed}\n"
		},
		"value cdi.enabled is unset, should be true": func(s map[string]any) {
			s["valuesContent"] = "not: [yaml"
		},
	} {
		if diff := change(f); !strings.Contains(strings.Join(diff, "\n"), says) {
			t.Errorf("got %q, want %q", diff, says)
		}
	}
}

func TestReadValuesReadsAFile(t *testing.T) {
	if v, err := ReadValues(""); v != nil || err != nil {
		t.Errorf("no file: %v, %v", v, err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte("mig: {strategy: mixed}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := ReadValues(file)
	if got, _ := ValueAt(v, "mig.strategy"); got != "mixed" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if err := os.WriteFile(file, []byte("- a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".gone"} {
		if _, err := ReadValues(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefaultVersionsMatchTheSettings(t *testing.T) {
	if config.DefaultGPUOperatorVersion != DefaultOperatorVersion ||
		config.DefaultGPUPluginVersion != DefaultPluginVersion {
		t.Errorf("the defaults of the settings are %s and %s", config.DefaultGPUOperatorVersion,
			config.DefaultGPUPluginVersion)
	}
}
