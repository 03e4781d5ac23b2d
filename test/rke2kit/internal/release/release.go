package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
)

// HelloImage is the demonstration image: a web server on port 8080.
const HelloImage = "docker.io/skyctl/hello:kit"

// Input says where the parts of a release are.
type Input struct {
	Binaries string // directory with kube, rke2, pause, hello and gpukit
	Files    string // directory with units, scripts and charts
	Arch     string
	Version  string
}

// tarEntry is one file of the tarball.
type tarEntry struct {
	name    string
	mode    int64
	content []byte
}

// Write makes the release directory's files in out.
func Write(in Input, out string) error {
	entries, err := collectEntries(in)
	if err != nil {
		return err
	}
	tarball, err := packTarball(entries)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("rke2.linux-%s.tar.gz", in.Arch)
	if err := os.WriteFile(filepath.Join(out, name), tarball, 0o644); err != nil {
		return fmt.Errorf("write tarball: %w", err)
	}
	sums := fmt.Sprintf("%s  %s\n", hexDigest(tarball), name)
	sumsName := fmt.Sprintf("sha256sum-%s.txt", in.Arch)
	if err := os.WriteFile(filepath.Join(out, sumsName), []byte(sums), 0o644); err != nil {
		return fmt.Errorf("write checksums: %w", err)
	}
	if err := writeCharts(filepath.Join(in.Files, "charts"), filepath.Join(out, "charts")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "version"), []byte(in.Version+"\n"), 0o644)
}

// collectEntries lays the parts out as RKE2's tarball does.
func collectEntries(in Input) ([]tarEntry, error) {
	sources := map[string]struct {
		file string
		mode int64
	}{
		"bin/rke2":              {filepath.Join(in.Binaries, "rke2"), 0o755},
		"bin/rke2-killall.sh":   {filepath.Join(in.Files, "rke2-killall.sh"), 0o755},
		"bin/rke2-uninstall.sh": {filepath.Join(in.Files, "rke2-uninstall.sh"), 0o755},
		"share/rke2/bin/kube":   {filepath.Join(in.Binaries, "kube"), 0o755},
	}
	for _, unit := range []string{"rke2-server.service", "rke2-server.env", "rke2-agent.service", "rke2-agent.env"} {
		source := sources["lib/systemd/system/"+unit]
		source.file, source.mode = filepath.Join(in.Files, "systemd", unit), 0o644
		sources["lib/systemd/system/"+unit] = source
	}
	var entries []tarEntry
	for name, source := range sources {
		content, err := os.ReadFile(source.file)
		if err != nil {
			return nil, fmt.Errorf("collect %s: %w", name, err)
		}
		entries = append(entries, tarEntry{name, source.mode, content})
	}
	images, err := buildImages(in)
	if err != nil {
		return nil, err
	}
	entries = append(entries,
		tarEntry{"share/rke2/images/rke2kit-images.tar", 0o644, images},
		tarEntry{"share/rke2/VERSION", 0o644, []byte(in.Version + "\n")})
	sort.Slice(entries, func(i, j int) bool { return entries[i].name < entries[j].name })
	return entries, nil
}

func buildImages(in Input) ([]byte, error) {
	programs := map[string][]byte{}
	for _, name := range []string{"pause", "hello", "gpukit"} {
		content, err := os.ReadFile(filepath.Join(in.Binaries, name))
		if err != nil {
			return nil, fmt.Errorf("read program of an image: %w", err)
		}
		programs[name] = content
	}
	const nobody = "65534:65534"
	parts, workload := listChartImages()
	var buf bytes.Buffer
	err := WriteImages(&buf, in.Arch, []Image{
		{Names: []string{node.SandboxImage, node.HelmJobImage}, Program: "/pause", Content: programs["pause"],
			User: nobody},
		{Names: []string{HelloImage}, Program: "/hello", Content: programs["hello"], User: nobody,
			Ports: []string{"8080/tcp"}},
		{Names: parts, Program: "/gpukit", Content: programs["gpukit"]},
		{Names: workload, Program: "/gpukit", Args: []string{"vectoradd"}, Content: programs["gpukit"]},
	})
	return buf.Bytes(), err
}

// packTarball makes the tarball. Lower levels make it larger, and no faster to unpack.
func packTarball(entries []tarEntry) ([]byte, error) {
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	archive := tar.NewWriter(zipped)
	made := map[string]bool{}
	for _, e := range entries {
		if err := addParentDirs(archive, made, e.name); err != nil {
			return nil, err
		}
		if err := addFile(archive, e.name, e.mode, e.content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("finish tarball: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return nil, fmt.Errorf("finish tarball: %w", err)
	}
	return buf.Bytes(), nil
}

func addParentDirs(archive *tar.Writer, made map[string]bool, name string) error {
	parts := strings.Split(filepath.Dir(name), "/")
	for i := range parts {
		dir := strings.Join(parts[:i+1], "/") + "/"
		if made[dir] {
			continue
		}
		made[dir] = true
		if err := archive.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755,
			ModTime: epoch}); err != nil {
			return fmt.Errorf("archive %s: %w", dir, err)
		}
	}
	return nil
}
