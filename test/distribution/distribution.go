// Package distribution makes the files of a release from built programs and the kit, without goreleaser, for tests of
// install.sh and of what it installs. Names and contents are those of a release, without packages, signatures and bills
// of materials.
package distribution

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Checksums is the name of the file with the SHA-256 of each archive.
const Checksums = "checksums.txt"

// Options say what a distribution is made of.
type Options struct {
	// Version has no leading v.
	Version string
	// Bin has the programs skyctl and skyd.
	Bin string
	// Man has man pages, and Kit is the directory of the RKE2 kit. Both may be empty.
	Man, Kit string
	// License is the file with the license; it may be empty.
	License string
}

// ArchiveName is the name of the archive with the programs for this platform.
func ArchiveName(version string) string { return "skyctl_" + version + "_" + platform + ".tar.gz" }

// KitName is the name of the archive with the RKE2 kit for this platform.
func KitName(version string) string { return "rke2kit_" + version + "_" + platform + ".tar.gz" }

const platform = runtime.GOOS + "_" + runtime.GOARCH

// Make writes a distribution for this platform into a directory.
func Make(ctx context.Context, dir string, o Options) error {
	files := map[string]string{"skyctl": filepath.Join(o.Bin, "skyctl"), "skyd": filepath.Join(o.Bin, "skyd")}
	scratch, err := os.MkdirTemp("", "skyctl-completions-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := exec.CommandContext(ctx, files["skyctl"], "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("reading the completions for %s from skyctl: %w", shell, err)
		}
		name := filepath.Join(scratch, shell)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
		files["completions/skyctl."+shell] = name
	}
	if o.License != "" {
		files["LICENSE"] = o.License
	}
	if err := addDirectory(files, "man", o.Man); err != nil {
		return err
	}
	if err := writeArchive(filepath.Join(dir, ArchiveName(o.Version)), files); err != nil {
		return err
	}
	if o.Kit != "" {
		kit := map[string]string{}
		if err := addDirectory(kit, "", o.Kit); err != nil {
			return err
		}
		if err := writeArchive(filepath.Join(dir, KitName(o.Version)), kit); err != nil {
			return err
		}
	}
	return WriteChecksums(dir)
}

// AddOlder adds the archive of the programs in another version to a distribution. They are those of Options, with
// another version of the same length in them.
func AddOlder(ctx context.Context, dir string, o Options, older string) error {
	if len(older) != len(o.Version) {
		return fmt.Errorf("version %s is not as long as %s", older, o.Version)
	}
	bin, err := os.MkdirTemp("", "skyctl-older-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	for _, name := range []string{"skyctl", "skyd"} {
		program, err := os.ReadFile(filepath.Join(o.Bin, name))
		if err != nil {
			return err
		}
		program = bytes.ReplaceAll(program, []byte("v"+o.Version), []byte("v"+older))
		if err := os.WriteFile(filepath.Join(bin, name), program, 0o700); err != nil {
			return err
		}
	}
	return Make(ctx, dir, Options{Version: older, Bin: bin})
}

// addDirectory adds the files of a directory by their names in the archive. Hidden files are left out: they are of the
// kit's build.
func addDirectory(files map[string]string, prefix, dir string) error {
	if dir == "" {
		return nil
	}
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		inside, err := filepath.Rel(dir, name)
		files[path.Join(prefix, filepath.ToSlash(inside))] = name
		return err
	})
}

func writeArchive(name string, files map[string]string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for inside, file := range files {
		if err := addFile(w, inside, file); err != nil {
			return fmt.Errorf("adding %s to %s: %w", file, name, err)
		}
	}
	return errors.Join(w.Close(), z.Close())
}

func addFile(w *tar.Writer, inside, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: inside, Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// WriteChecksums writes the checksums of the archives in a directory.
func WriteChecksums(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("computing the checksum of %s: %w", name, err)
		}
		fmt.Fprintf(&text, "%x  %s\n", sum.Sum(nil), filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(dir, Checksums), []byte(text.String()), 0o600)
}
