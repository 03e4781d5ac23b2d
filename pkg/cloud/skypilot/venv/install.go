package venv

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// setupFiles are the script that installs SkyPilot, and the pinned requirements of each cloud.
//
//go:embed setup
var setupFiles embed.FS

const (
	setupDir = "setup"
	// baseRequirements are those of SkyPilot itself, and of no cloud.
	baseRequirements = "base"
	// stopTimeout is how long the installation may take to end after its context has.
	stopTimeout = 10 * time.Second
)

// InstallableClouds lists the clouds whose libraries Install can install.
func InstallableClouds() []string {
	files, err := fs.Glob(setupFiles, setupDir+"/*.txt")
	if err != nil { // the pattern is wrong
		panic(err)
	}
	var clouds []string
	for _, file := range files {
		if name := strings.TrimSuffix(path.Base(file), ".txt"); name != baseRequirements {
			clouds = append(clouds, name)
		}
	}
	return clouds
}

// CanInstallLibraries reports whether Install can install the libraries of a cloud.
func CanInstallLibraries(cloudName string) bool {
	return slices.Contains(InstallableClouds(), cloudName)
}

// Install installs SkyPilot and the libraries of clouds into the virtual environment of a directory, or adds them to
// it. What the installation prints goes to out.
func Install(ctx context.Context, dir string, clouds []string, out io.Writer) error {
	for _, name := range clouds {
		if !CanInstallLibraries(name) {
			return fmt.Errorf("skyd cannot install the libraries of the cloud %q: choose from %s", name,
				strings.Join(InstallableClouds(), ", "))
		}
	}
	scratch, err := os.MkdirTemp("", "skyctl-setup-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	files, err := fs.Sub(setupFiles, setupDir)
	if err != nil {
		return err
	}
	if err := errors.Join(os.CopyFS(scratch, files), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	script := exec.CommandContext(ctx, "sh", slices.Concat([]string{filepath.Join(scratch, "install.sh"),
		environmentDir(dir)}, clouds)...)
	script.Stdout, script.Stderr = out, out
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) }
	script.WaitDelay = stopTimeout
	if err := script.Run(); err != nil {
		return fmt.Errorf("installing SkyPilot into %s: %w", environmentDir(dir), err)
	}
	return nil
}

// environmentDir is the virtual environment in a directory of SkyPilot.
func environmentDir(dir string) string { return filepath.Join(dir, "venv") }
