package simcloud

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Version is the version of WriteRelease's release and of the simulated machines' kubelets. It says that the release
// stands in for RKE2: it starts in any container.
const Version = "v1.35.7+rke2r1-kit"

// WriteRelease writes an RKE2 release to a directory. It installs like a real one. Its program prints its version, and
// works on etcd snapshots as RKE2 does.
func WriteRelease(dir string) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name, text string
		mode       int64
	}{
		{"bin/rke2", "#!/bin/sh\n[ \"$1\" = --version ] || exec /opt/fake/rke2 \"$@\"\necho 'rke2 version " +
			Version + " (simulated)'\n", 0o755},
		{"bin/rke2-uninstall.sh", "#!/bin/sh\n", 0o755},
		{"lib/systemd/system/rke2-server.service", "ExecStart=/usr/local/bin/rke2 server\n", 0o644},
		{"lib/systemd/system/rke2-agent.service", "ExecStart=/usr/local/bin/rke2 agent\n", 0o644},
		{"share/rke2/LICENSE.txt", randomFiller(), 0o644},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text))}); err != nil {
			return err
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	sum := sha256.Sum256(b.Bytes())
	for _, arch := range []string{"amd64", "arm64"} {
		tarball := "rke2.linux-" + arch + ".tar.gz"
		if err := os.WriteFile(filepath.Join(dir, tarball), b.Bytes(), 0o600); err != nil {
			return err
		}
		line := fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum[:]), tarball)
		if err := os.WriteFile(filepath.Join(dir, "sha256sum-"+arch+".txt"), []byte(line), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// randomFiller makes the release large enough to interrupt its upload.
func randomFiller() string {
	text := make([]byte, 48<<10)
	_, _ = rand.Read(text)
	return string(text)
}
