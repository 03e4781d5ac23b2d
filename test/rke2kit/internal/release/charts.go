package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is one published version of a test chart. Its texts name the versions of what it installs by these variables.
type chart struct {
	name, version string
	variables     map[string]string
}

// newOperatorChart is the GPU Operator's at a version, with the parts that NVIDIA's values file names at that tag.
func newOperatorChart(version, driver, toolkit, plugin, nfd string) chart {
	return chart{"gpu-operator", version, map[string]string{
		"VERSION": version, "DRIVER": driver, "TOOLKIT": toolkit, "PLUGIN": plugin, "NFD": nfd,
	}}
}

func newPluginChart(version string) chart {
	return chart{"nvidia-device-plugin", version, map[string]string{"VERSION": version, "PLUGIN": "v" + version}}
}

// charts are what the release's chart repository has, the newest of each first.
var charts = []chart{
	newOperatorChart("v26.3.2", "580.126.20", "v1.19.1", "v0.19.2", "v0.18.3"),
	newOperatorChart("v25.10.1", "580.105.08", "v1.18.1", "v0.18.1", "v0.18.2"),
	newOperatorChart("v25.3.4", "580.82.07", "v1.17.8-ubuntu20.04", "v0.17.4", "v0.17.3"),
	newPluginChart("0.19.2"),
	newPluginChart("0.18.1"),
}

// defaultRegistry is the default registry of the charts' images; mirrorRegistry has the newest of them under the same
// paths, for tests of mirrors. Each name slows the start of every node, so there are no more than needed.
const (
	defaultRegistry = "docker.io/skyctl"
	mirrorRegistry  = "mirror.skyctl.test/gpu"
)

// WorkloadImage is NVIDIA's sample that adds two vectors, which skyctl runs by default to see whether an accelerator is
// handed out; the release has a stand-in for it under this name.
const WorkloadImage = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"

// listChartImages are the names of the images that the charts run, and those of the sample.
func listChartImages() (parts, workload []string) {
	newest := map[string]bool{}
	for _, c := range charts {
		names := c.imageNames()
		for _, name := range names {
			parts = append(parts, defaultRegistry+"/"+name)
			if !newest[c.name] {
				parts = append(parts, mirrorRegistry+"/"+name)
			}
		}
		newest[c.name] = true
	}
	slices.Sort(parts)
	mirrored := mirrorRegistry + strings.TrimPrefix(WorkloadImage, "nvcr.io")
	return slices.Compact(parts), []string{WorkloadImage, mirrored}
}

// imageNames are the names, without a registry, of what a chart runs.
func (c chart) imageNames() []string {
	names := []string{"nvidia/k8s-device-plugin:" + c.variables["PLUGIN"]}
	if c.name == "gpu-operator" {
		names = append(names, "nvidia/gpu-operator:"+c.version, "nvidia/driver:"+c.variables["DRIVER"]+"-ubuntu24.04",
			"nvidia/k8s/container-toolkit:"+c.variables["TOOLKIT"], "nfd/node-feature-discovery:"+c.variables["NFD"])
	}
	return names
}

// writeCharts writes a chart repository: every version's archive, and the index by which Helm finds them. Addresses in
// it are relative, so that it may be served from anywhere.
func writeCharts(source, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("create chart repository: %w", err)
	}
	var index bytes.Buffer
	index.WriteString("apiVersion: v1\ngenerated: \"1970-01-01T00:00:00Z\"\nentries:\n")
	last := ""
	for _, c := range charts {
		archive, err := c.packArchive(filepath.Join(source, c.name))
		if err != nil {
			return fmt.Errorf("pack chart %s %s: %w", c.name, c.version, err)
		}
		file := c.name + "-" + c.version + ".tgz"
		if err := os.WriteFile(filepath.Join(out, file), archive, 0o644); err != nil {
			return fmt.Errorf("write chart: %w", err)
		}
		if c.name != last {
			fmt.Fprintf(&index, "  %s:\n", c.name)
			last = c.name
		}
		fmt.Fprintf(&index, "  - apiVersion: v2\n    name: %s\n    version: %s\n    appVersion: %s\n    created: "+
			"\"1970-01-01T00:00:00Z\"\n    digest: %s\n    urls: [%s]\n",
			c.name, c.version, c.version, hexDigest(archive), file)
	}
	return os.WriteFile(filepath.Join(out, "index.yaml"), index.Bytes(), 0o644)
}

func (c chart) packArchive(dir string) ([]byte, error) {
	var pairs []string
	for name, value := range c.variables {
		pairs = append(pairs, "${"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	archive := tar.NewWriter(zipped)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return addFile(archive, c.name+"/"+filepath.ToSlash(inside), 0o644, []byte(fill.Replace(string(content))))
	})
	if err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
