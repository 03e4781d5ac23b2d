// Package nsmachine gives tests a machine to change: this computer in a mount namespace of its own, reached over SSH.
// It also gives them computers with a network of their own. Both need root.
package nsmachine

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// programDir comes first in the machine's PATH.
const programDir = "/opt/fake"

// mountDirs mounts the directories of its arguments. A directory that this computer lacks is created in a layer over
// what is above it, so that the computer stays as it is. If a test removed a mount point there, the tests that run at
// the same time would lose their mounts: rmdir detaches them, in all namespaces.
const mountDirs = `
mount -t tmpfs tmpfs /opt
layers=
for dir; do
	above=$dir
	while [ ! -d "$above" ]; do above=$(dirname "$above"); done
	in_layer=
	for layer in $layers; do case $above/ in "$layer"/*) in_layer=1 ;; esac; done
	if [ "$above" != "$dir" ] && [ -z "$in_layer" ]; then
		own=/opt/layers$above
		mkdir -p "$own/upper" "$own/work"
		mount -t overlay overlay -o "lowerdir=$above,upperdir=$own/upper,workdir=$own/work" "$above"
		layers="$layers $above"
	fi
	mkdir -p "$dir"
done
for dir; do mount -t tmpfs tmpfs "$dir"; done
mkdir "$0"; echo up; exec sleep infinity`

// Machine is a machine whose chosen directories are empty at the start and vanish with the test.
type Machine struct {
	*remote.Host
	// Server is its SSH server.
	Server *sshserver.Server

	t *testing.T
}

// Start starts a machine and connects to it. The given directories and /opt are empty file systems of their own; env is
// added to the environment of its commands.
func Start(t *testing.T, dirs []string, env ...string) *Machine {
	t.Helper()
	needs.Root(t)
	namespace := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "--propagation", "private",
		"sh", "-ec", mountDirs, programDir}, dirs...)...)
	out, err := namespace.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	namespace.Stderr = os.Stderr
	if err := namespace.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespace.Process.Kill(); _ = namespace.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatalf("this test needs root, for a mount namespace: %v", err)
	}
	s := sshserver.Start(t)
	s.Enter = []string{"nsenter", "--mount", "--target", fmt.Sprint(namespace.Process.Pid)}
	s.Env = append(slices.Clone(env), "PATH="+programDir+":"+os.Getenv("PATH"))
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &Machine{Host: h, Server: s, t: t}
}

// InstallProgram puts a script into the machine's PATH, before programs of the same name.
func (m *Machine) InstallProgram(name, script string) {
	m.t.Helper()
	m.Write(programDir+"/"+name, script, 0o755)
}

// Write writes a file on the machine.
func (m *Machine) Write(name, data string, mode fs.FileMode) {
	m.t.Helper()
	if err := m.WriteFile(m.t.Context(), name, []byte(data), mode); err != nil {
		m.t.Fatal(err)
	}
}

// RunShell runs a script on the machine and returns its output.
func (m *Machine) RunShell(script string) string {
	m.t.Helper()
	out, err := m.RunScript(m.t.Context(), "test script", script)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
