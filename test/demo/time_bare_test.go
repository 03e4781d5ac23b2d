package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/needs"
)

// TestTimingRemovesNothingWhereClustersExist has a PATH without the programs by which the script removes anything.
func TestTimingRemovesNothingWhereClustersExist(t *testing.T) {
	root, programs := t.TempDir(), t.TempDir()
	write := func(name, content string) {
		t.Helper()
		err := os.MkdirAll(filepath.Dir(name), 0o700)
		if err == nil {
			err = os.WriteFile(name, []byte(content), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("time_bare.sh")
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(root, "test/demo/time_bare.sh"), string(script))
	write(filepath.Join(root, "test/setup/state.sh"), "state=/nonexistent\n")
	write(filepath.Join(root, "test/setup/docker-down.sh"), "#!/bin/sh\necho the engine is removed\nexit 7\n")
	write(filepath.Join(programs, "id"), "#!/bin/sh\necho 0\n")
	for _, name := range []string{"bash", "sh", "env", "dirname", "sed"} {
		if err := os.Symlink(needs.Program(t, name), filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, "skyconf")
	run := func() (int, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), needs.Program(t, "bash"), filepath.Join(root, "test/demo/time_bare.sh"),
			"--remove-docker-and-skyctl-with-all-data", "https://example.com")
		cmd.Env = []string{"PATH=" + programs, "HOME=" + root, "SKYCONF_DIR=" + dir}
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := run(); code != 7 || !strings.Contains(out, "the engine is removed") {
		t.Errorf("without a state: exit %d, %s", code, out)
	}
	write(filepath.Join(dir, "config.yaml"), "")
	for what, skyctl := range map[string]string{"a cluster": "echo $1: clusters exist: dev; exit 1",
		"files of others": "exit 0"} {
		write(filepath.Join(root, "bin/skyctl"), "#!/bin/sh\n"+skyctl+"\n")
		if code, out := run(); code != 1 || strings.Contains(out, "the engine is removed") ||
			!strings.Contains(out, dir) {
			t.Errorf("%s: exit %d, %s", what, code, out)
		}
	}
}
