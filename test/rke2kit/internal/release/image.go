// Package release writes what a build hands over: container images, and the
// release directory with its tarball and checksums.
package release

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"time"
)

// Image is a container image of one file, run as it is.
type Image struct {
	Names   []string // each with registry and tag
	Program string   // absolute path in the image
	Args    []string // that it is run with
	Content []byte
	User    string
	Ports   []string // such as 8080/tcp
}

// epoch stands for every time, so that the same sources give the same bytes.
var epoch = time.Unix(0, 0).UTC()

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// WriteImages writes an archive of the form `docker save` writes, which every
// runtime imports.
func WriteImages(w io.Writer, arch string, images []Image) error {
	archive := tar.NewWriter(w)
	manifests := make([]manifest, 0, len(images))
	written := map[string]bool{}
	for _, image := range images {
		layer, err := buildLayer(image)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Names[0], err)
		}
		config, err := renderImageConfig(image, arch, hexDigest(layer))
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Names[0], err)
		}
		m := manifest{Config: hexDigest(config) + ".json", RepoTags: image.Names,
			Layers: []string{hexDigest(layer) + "/layer.tar"}}
		manifests = append(manifests, m)
		if err := addFile(archive, m.Config, 0o644, config); err != nil {
			return err
		}
		if written[m.Layers[0]] {
			continue // of an image that differs in how it is run
		}
		written[m.Layers[0]] = true
		if err := addFile(archive, m.Layers[0], 0o644, layer); err != nil {
			return err
		}
	}
	index, err := json.Marshal(manifests)
	if err != nil {
		return err
	}
	if err := addFile(archive, "manifest.json", 0o644, index); err != nil {
		return err
	}
	return archive.Close()
}

func buildLayer(image Image) ([]byte, error) {
	var buf bytes.Buffer
	layer := tar.NewWriter(&buf)
	// Mount points and a root directory that others may enter.
	for _, dir := range []string{"dev/", "etc/", "proc/", "sys/", "tmp/"} {
		if err := layer.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755,
			ModTime: epoch}); err != nil {
			return nil, err
		}
	}
	if err := addFile(layer, path.Clean(image.Program)[1:], 0o755, image.Content); err != nil {
		return nil, err
	}
	return buf.Bytes(), layer.Close()
}

func renderImageConfig(image Image, arch, layerDigest string) ([]byte, error) {
	type m = map[string]any
	ports := m{}
	for _, p := range image.Ports {
		ports[p] = struct{}{}
	}
	return json.Marshal(m{
		"architecture": arch,
		"os":           "linux",
		"created":      epoch.Format(time.RFC3339),
		"config": m{"Entrypoint": append([]string{image.Program}, image.Args...), "User": image.User,
			"ExposedPorts": ports},
		"rootfs":  m{"type": "layers", "diff_ids": []string{"sha256:" + layerDigest}},
		"history": []m{{"created": epoch.Format(time.RFC3339), "created_by": "rke2kit"}},
	})
}

func addFile(archive *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), ModTime: epoch}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return nil
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
