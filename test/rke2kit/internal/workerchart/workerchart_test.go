// Package workerchart tests the chart skyd-worker of the top module: this module has Helm. The expected objects are in
// release/chart/testdata, where the tests of that folder read them too.
package workerchart

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const (
	chartDir    = "../../../../release/chart/skyd-worker"
	expectedDir = "../../../../release/chart/testdata"
)

var update = flag.Bool("update", false, "rewrite the expected objects in release/chart/testdata")

// renderChart returns the objects and the notes that Helm makes of the chart with these values.
func renderChart(values map[string]any) (string, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return "", err
	}
	all, err := util.ToRenderValues(chart, values,
		common.ReleaseOptions{Name: "team", Namespace: "skyctl", IsInstall: true}, nil)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var names []string
	for name, content := range files {
		if strings.TrimSpace(content) != "" && !strings.HasSuffix(name, ".tpl") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		content := strings.TrimSpace(files[name])
		if strings.HasSuffix(name, "NOTES.txt") {
			content = "# " + strings.ReplaceAll(content, "\n", "\n# ")
		}
		out.WriteString("---\n# Source: " + name + "\n" + content + "\n")
	}
	return out.String(), nil
}

func readValues(t *testing.T, text string) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// valueFiles returns the content of each values file of testdata by its name.
func valueFiles(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(expectedDir, "*.values.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no values in %s: %v", expectedDir, err)
	}
	files := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".values.yaml")] = string(content)
	}
	return files
}

func TestChartRendersTheExpectedObjects(t *testing.T) {
	for name, values := range valueFiles(t) {
		got, err := renderChart(readValues(t, values))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join(expectedDir, name+".yaml")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs (run with -update if it should)\ngot:\n%s", path, got)
		}
	}
}

func TestValuesOfTheExampleFit(t *testing.T) {
	values, err := os.ReadFile("../../../../examples/team-kubernetes/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := renderChart(readValues(t, string(values)))
	if err != nil || !strings.Contains(got, "value: \"/opt/skypilot/bin/python\"") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestHelmLintHasNothingToSay(t *testing.T) {
	for name, values := range valueFiles(t) {
		for _, m := range lint.RunAll(chartDir, readValues(t, values), "skyctl").Messages {
			if m.Severity > support.InfoSev { // the chart has no icon
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestValuesThatDoNotFitAreNamed(t *testing.T) {
	const valid = "etcd: {endpoints: ['https://etcd:2379']}\ntemporal: {address: 'temporal:7233'}\n" +
		"secretsKey: {secretName: skyctl}\n"
	for _, c := range []struct {
		values string
		says   []string
	}{
		{"{}", []string{"The chart cannot be installed with these values:\n- etcd.endpoints is empty",
			"\n- temporal.address is empty", "\n- secretsKey.secretName is empty"}},
		{valid + "replicas: 2", []string{"replicas is 2 without settings.skypilot.endpoint",
			"replicas is 2 without ReadWriteMany in state.accessModes"}},
		{valid + "gateway: {enabled: true}", []string{"gateway.enabled without etcd.tls.secretName"}},
		{valid + "replica: 2", []string{"additional properties 'replica' not allowed"}},
		{valid + "replicas: two", []string{"at '/replicas': got string, want integer"}},
		{valid + "image: {digest: latest}", []string{"at '/image/digest': 'latest' does not match"}},
		{valid + "settings: {rke2: {versoin: v1}}", []string{
			"at '/settings/rke2': additional properties 'versoin' not allowed"}},
		{valid + "settings: {etcd: {endpoints: 'http://x:1'}}", []string{
			"at '/settings/etcd': additional properties 'endpoints' not allowed"}},
		{strings.Replace(valid, "https://etcd:2379", "etcd:2379", 1), []string{
			"at '/etcd/endpoints/0': 'etcd:2379' does not match"}},
		{strings.Replace(valid, ":7233", "", 1), []string{"at '/temporal/address': 'temporal' does not match"}},
	} {
		_, err := renderChart(readValues(t, c.values))
		if err == nil {
			t.Errorf("%s\nis accepted", c.values)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s\ngot %v, want %q", c.values, err, says)
			}
		}
	}
	// Without gateway are the values of an older chart, which helm upgrade --reuse-values keeps.
	for _, values := range []string{valid, valid + "gateway: null"} {
		if _, err := renderChart(readValues(t, values)); err != nil {
			t.Errorf("%s\n%v", values, err)
		}
	}
}
