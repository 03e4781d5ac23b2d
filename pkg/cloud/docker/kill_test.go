package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/dockersim"
	"github.com/sky-shift/skyctl/test/needs"
)

const simImage = "host:1"

// TestKillAtAnyCallLeavesAWorkingInstallation kills a process before and after each of its calls to the engine.
// The fault lab does the same with the real one.
func TestKillAtAnyCallLeavesAWorkingInstallation(t *testing.T) {
	needs.Root(t)
	for _, k := range dockersim.KillScenarios() {
		t.Run(strings.ReplaceAll(k.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			image := simImage
			if k.Builds {
				image = ""
			}
			kill := func(at int, after, again bool) []string {
				i, _ := dockersim.NewInstallation(t, image)
				return k.Run(t, i, at, after, again)
			}
			for n := range kill(0, false, true) {
				for _, how := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
					if kill(n+1, how[0], how[1]); t.Failed() {
						return
					}
				}
			}
		})
	}
}

func TestBuildRemovesFilesOfAKilledBuild(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, "")
	c := i.NewProcess(engine)
	for _, name := range []string{".host-1.partial", ".rootfs-1/etc/passwd"} {
		path := filepath.Join(i.Dir, name)
		i.RequireNoError(os.MkdirAll(filepath.Dir(path), 0o700))
		i.RequireNoError(os.WriteFile(path, nil, 0o600))
	}
	if f, _ := c.InspectProvider(t.Context()); strings.Count(strings.Join(f.Details, " "), "interrupted build") != 2 {
		t.Errorf("the check reports %+v", f)
	}
	i.RequireNoError(c.EnsureImage(t.Context(), func(string) {}))
	i.WantNothingLeft(c)
	if left, err := filepath.Glob(filepath.Join(i.Dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
