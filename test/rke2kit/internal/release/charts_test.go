package release

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// publish writes the chart repository.
func publish(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := writeCharts("../../files/charts", dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// render is what Helm makes of a chart with these values.
func render(t *testing.T, file string, values map[string]any) string {
	t.Helper()
	loaded, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(loaded, values,
		common.ReleaseOptions{Name: loaded.Name(), Namespace: "there", IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for name, content := range files {
		for _, document := range strings.Split(content, "\n---\n") {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(document), &object); err != nil && !strings.HasSuffix(name, ".tpl") {
				t.Errorf("%s: %v\n%s", name, err, document)
			}
		}
		out.WriteString(content + "\n")
	}
	return out.String()
}

func TestIndexNamesEveryChartWithItsDigest(t *testing.T) {
	dir := publish(t)
	data, err := os.ReadFile(filepath.Join(dir, "index.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		APIVersion string `yaml:"apiVersion"`
		Entries    map[string][]struct {
			Name, Version, Digest string
			URLs                  []string `yaml:"urls"`
		}
	}
	if err := yaml.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	count := 0
	for name, versions := range index.Entries {
		for _, v := range versions {
			count++
			archive, err := os.ReadFile(filepath.Join(dir, v.URLs[0]))
			if err != nil || hexDigest(archive) != v.Digest || v.Name != name {
				t.Errorf("%s %s: %v", name, v.Version, err)
			}
			loaded, err := loader.Load(filepath.Join(dir, v.URLs[0]))
			if err != nil || loaded.Metadata.Version != v.Version {
				t.Errorf("%s %s holds %+v, %v", name, v.Version, loaded.Metadata, err)
			}
		}
	}
	if count != len(charts) || index.APIVersion != "v1" {
		t.Errorf("the index names %d of %d charts, as %q", count, len(charts), index.APIVersion)
	}
}

func TestReleaseHasEveryImageOfItsCharts(t *testing.T) {
	dir := publish(t)
	parts, _ := listChartImages()
	whole := regexp.MustCompile(`(?m)^\s*image: (\S+:\S+)$`)
	section := regexp.MustCompile(`(?m)^    repository: (\S+)\n    image: (\S+)\n    version: "(\S+)"$`)
	for _, c := range charts {
		text := render(t, filepath.Join(dir, c.name+"-"+c.version+".tgz"), nil)
		var images []string
		for _, found := range whole.FindAllStringSubmatch(text, -1) {
			images = append(images, found[1])
		}
		for _, found := range section.FindAllStringSubmatch(text, -1) {
			image := found[1] + "/" + found[2] + ":" + found[3]
			if found[2] == "driver" {
				image += "-ubuntu24.04"
			}
			images = append(images, image)
		}
		if want := map[string]int{"gpu-operator": 7, "nvidia-device-plugin": 1}[c.name]; len(images) != want {
			t.Errorf("%s %s runs %v, want %d images", c.name, c.version, images, want)
		}
		for _, image := range images {
			if !slices.Contains(parts, image) {
				t.Errorf("%s %s runs %s, which the release lacks", c.name, c.version, image)
			}
		}
	}
}

func TestMirrorHasTheNewestImagesUnderTheirPaths(t *testing.T) {
	parts, workload := listChartImages()
	for _, path := range append(charts[0].imageNames(), newPluginChart("0.19.2").imageNames()...) {
		if !slices.Contains(parts, "mirror.skyctl.test/gpu/"+path) {
			t.Errorf("the mirror lacks %s in %v", path, parts)
		}
	}
	if !slices.Contains(workload, "mirror.skyctl.test/gpu/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0") {
		t.Errorf("the mirror lacks the sample: %v", workload)
	}
}

// What skyctl sets has to be a value of the real charts; a test chart that knew others would hide that it isn't.
func TestChartsAcceptOnlyValuesOfTheRealOnes(t *testing.T) {
	dir := publish(t)
	for _, name := range []string{"gpu-operator-v26.3.2", "gpu-operator-v25.3.4", "nvidia-device-plugin-0.19.2"} {
		known, err := os.ReadFile("../../../../pkg/gpu/chart/testdata/keys/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := loader.Load(filepath.Join(dir, name+".tgz"))
		if err != nil {
			t.Fatal(err)
		}
		keys := strings.Split(string(known), "\n")
		for _, key := range paths(loaded.Values, "") {
			if !slices.Contains(keys, key) {
				t.Errorf("%s has the value %s, which the real chart lacks", name, key)
			}
		}
	}
}

// paths are the keys of values, parted by dots.
func paths(values map[string]any, prefix string) []string {
	var out []string
	for key, value := range values {
		out = append(out, prefix+key)
		if deeper, ok := value.(map[string]any); ok {
			out = append(out, paths(deeper, prefix+key+".")...)
		}
	}
	return out
}

func TestValuesReachTheClusterPolicy(t *testing.T) {
	text := render(t, filepath.Join(publish(t), "gpu-operator-v26.3.2.tgz"), map[string]any{
		"driver": map[string]any{"enabled": false},
		"devicePlugin": map[string]any{"repository": "mirror.skyctl.test/gpu/nvidia",
			"env": []any{map[string]any{"name": "A", "value": "b"}}},
	})
	for _, want := range []string{
		"  driver:\n    enabled: false\n", "  devicePlugin:\n    enabled: true\n    repository: " +
			"mirror.skyctl.test/gpu/nvidia\n", `env: [{"name":"A","value":"b"}]`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the policy lacks %q", want)
		}
	}
}
