package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpack reads an archive into memory.
func unpack(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImageConfigNamesItsLayer(t *testing.T) {
	var buf bytes.Buffer
	image := Image{Names: []string{"example.org/x:1"}, Program: "/x", Content: []byte("program"), User: "65534"}
	if err := WriteImages(&buf, "amd64", []Image{image}); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, &buf)
	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil {
		t.Fatal(err)
	}
	layer := files[manifests[0].Layers[0]]
	var config struct {
		Architecture string
		RootFS       struct {
			DiffIDs []string `json:"diff_ids"`
		}
		Config struct{ Entrypoint []string }
	}
	if err := json.Unmarshal(files[manifests[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	if got, want := config.RootFS.DiffIDs[0], "sha256:"+hexDigest(layer); got != want {
		t.Errorf("diff id is %s, want %s", got, want)
	}
	if config.Architecture != "amd64" || config.Config.Entrypoint[0] != "/x" ||
		manifests[0].RepoTags[0] != image.Names[0] {
		t.Errorf("got %+v, %+v", config, manifests)
	}
	if got := unpack(t, bytes.NewReader(layer))["x"]; string(got) != "program" {
		t.Errorf("the layer holds %q", got)
	}
}

func TestReleaseHasRKE2sLayoutAndIsReproducible(t *testing.T) {
	binaries := t.TempDir()
	for _, name := range []string{"kube", "rke2", "pause", "hello", "gpukit"} {
		if err := os.WriteFile(filepath.Join(binaries, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := Input{Binaries: binaries, Files: "../../files", Arch: "amd64", Version: "v1.2.3+rke2r1-kit"}
	build := func() []byte {
		out := t.TempDir()
		if err := Write(in, out); err != nil {
			t.Fatal(err)
		}
		tarball, err := os.ReadFile(filepath.Join(out, "rke2.linux-amd64.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		sums, err := os.ReadFile(filepath.Join(out, "sha256sum-amd64.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if want := hexDigest(tarball) + "  rke2.linux-amd64.tar.gz\n"; string(sums) != want {
			t.Errorf("checksums are %q, want %q", sums, want)
		}
		return tarball
	}
	first := build()
	if !bytes.Equal(first, build()) {
		t.Error("two builds differ")
	}
	zipped, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, zipped)
	for _, name := range []string{
		"bin/rke2", "bin/rke2-killall.sh", "bin/rke2-uninstall.sh",
		"lib/systemd/system/rke2-server.service", "lib/systemd/system/rke2-server.env",
		"lib/systemd/system/rke2-agent.service", "lib/systemd/system/rke2-agent.env",
		"share/rke2/bin/kube", "share/rke2/images/rke2kit-images.tar",
	} {
		if len(files[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	unit := string(files["lib/systemd/system/rke2-agent.service"])
	for _, line := range []string{"Type=notify", "ExecStart=/usr/local/bin/rke2 agent", "KillMode=process",
		"TimeoutStartSec=0", "Restart=always", "RestartSec=5s"} {
		if !strings.Contains(unit, line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
}
