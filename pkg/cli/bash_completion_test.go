package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/needs"
)

func TestBashCompletesWithoutItsPackage(t *testing.T) {
	bash := needs.Program(t, "bash")
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "skyctl")); err != nil {
		t.Fatal(err)
	}
	complete := func(line string) string {
		script := fmt.Sprintf(`source <(skyctl completion bash --no-descriptions) || exit 1
compopt() { :; }
COMP_LINE=%q COMP_POINT=%d COMP_TYPE=9 COMP_KEY=9 COMPREPLY=()
__start_skyctl; printf '%%s\n' "${COMPREPLY[@]}"`, line, len(line))
		cmd := exec.Command(bash, "--norc", "--noprofile", "-c", script)
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", asSkyctl + "=1", "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	for line, want := range map[string]string{
		"skyctl vers":                          "version",
		"skyctl config get reconcile.orphan":   "reconcile.orphanGrace",
		"skyctl config set skypilot.usage ":    "true false",
		"skyctl create cluster x --cloud=dock": "docker",
	} {
		if got := complete(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
