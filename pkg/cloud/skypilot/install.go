package skypilot

import (
	"bufio"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed setup
var setupFiles embed.FS

// DefaultClouds are those whose libraries are installed where nobody names others.
var DefaultClouds = []string{"aws", "gcp"}

// Install puts the pinned SkyPilot with the libraries of some clouds into dir/venv, where New looks for it by default.
// What is there already is not installed again. It needs Python 3.10 or newer and a package index, and takes a minute.
func Install(ctx context.Context, dir string, clouds []string, progress func(string)) error {
	if len(clouds) == 0 {
		clouds = DefaultClouds
	}
	scratch, err := os.MkdirTemp("", "skyctl-skypilot-setup-")
	if err != nil {
		return fmt.Errorf("install SkyPilot: %w", err)
	}
	defer os.RemoveAll(scratch)
	if err := os.CopyFS(scratch, mustSucceed(fs.Sub(setupFiles, "setup"))); err != nil {
		return fmt.Errorf("install SkyPilot: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("install SkyPilot: %w", err)
	}
	unlock, err := acquireFileLock(ctx, filepath.Join(dir, "setup.lock"))
	if err != nil {
		return fmt.Errorf("install SkyPilot: wait for another installation: %w", err)
	}
	defer unlock()
	cmd := exec.CommandContext(ctx, "sh", append([]string{filepath.Join(scratch, "install.sh"),
		filepath.Join(dir, "venv")}, clouds...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	said := &outputTail{}
	cmd.Stdout = said
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("install SkyPilot: %w", err)
	}
	progress(fmt.Sprintf("installing SkyPilot %s", Version))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("install SkyPilot: %w", err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		_, _ = said.Write(append(lines.Bytes(), '\n')) // a tail takes everything
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("install SkyPilot %s into %s: %w\n%s", Version, filepath.Join(dir, "venv"), err, said)
	}
	return nil
}

// mustSucceed is for what is embedded, and so there.
func mustSucceed[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
