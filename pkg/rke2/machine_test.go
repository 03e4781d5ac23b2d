package rke2

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// machine is this machine seen through a mount namespace of its own, reached over SSH: what RKE2 is installed into is
// empty and goes with the test. /usr/local is a mount point, so that RKE2 goes to /opt/rke2. systemd is played by a
// script that keeps each unit's state in a file and writes down what it was asked for.
type machine struct {
	*remote.Host
	t      *testing.T
	server *sshserver.Server
}

const systemctl = `#!/bin/sh
cd /run/systemd/system || exit 1
case "$1" in show|show-environment|is-enabled|daemon-reload|reset-failed) ;; *) echo "$@" >>calls;; esac
for unit; do :; done
case "$1" in
start) echo active >"$unit.ActiveState"; cat /proc/sys/kernel/random/uuid >"$unit.InvocationID";;
restart) (sleep 0.3; cat /proc/sys/kernel/random/uuid >"$unit.InvocationID") >/dev/null 2>&1 &;; # it has to stop first
enable) touch "$unit.enabled";;
is-enabled) [ -e "$unit.enabled" ];;
show)
  shift; value=
  for a; do [ "$a" != --value ] || value=1; done
  while [ "$1" = -p ]; do
    v=$(cat "$unit.$2" 2>/dev/null)
    if [ -n "$value" ]; then echo "$v"; else echo "$2=$v"; fi
    shift 2
  done;;
esac
`

// journalctl prints what stands in the journal file; following, it ends only with whoever reads.
const journalctl = `#!/bin/sh
cat /run/systemd/system/journal 2>/dev/null
for a; do [ "$a" != -f ] || { echo $$ >/run/systemd/system/follower; exec sleep infinity; }; done
`

// unit sets a unit's state as systemctl shows it.
func (m *machine) unit(name, state string) {
	m.t.Helper()
	for k, v := range parseKeyValues(state) {
		m.write("/run/systemd/system/"+name+"."+k, v+"\n", 0o644)
	}
}

// places are where a machine has its own files instead of those of the one below it.
var places = []string{"/usr/local", "/opt", "/etc/rancher", "/etc/systemd/system", "/var/lib/skyctl",
	"/var/lib/rancher", "/run/systemd/system"}

// leaveNoPlaces removes the directories that had to be made below the mounts: /run/systemd/system, for one, tells every
// program that systemd runs here.
func leaveNoPlaces(t *testing.T) {
	var missing []string
	for _, d := range places {
		for ; d != "/"; d = filepath.Dir(d) {
			if _, err := os.Stat(d); os.IsNotExist(err) {
				missing = append(missing, d)
			}
		}
	}
	t.Cleanup(func() {
		for _, d := range missing {
			_ = os.Remove(d) // whose children were removed before it
		}
	})
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	leaveNoPlaces(t)
	ns := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-ec", `
for d in `+strings.Join(places, " ")+`; do
  mkdir -p "$d"; mount -t tmpfs tmpfs "$d"
done
mkdir /opt/fake; echo up; exec sleep infinity`)
	out, err := ns.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.Stderr = os.Stderr
	if err := ns.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Process.Kill(); _ = ns.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatalf("this test needs root, for a mount namespace: %v", err)
	}
	s := sshserver.Start(t)
	s.Enter = []string{"nsenter", "--mount", "--target", fmt.Sprint(ns.Process.Pid)}
	s.Env = []string{"PATH=/opt/fake:" + os.Getenv("PATH")}
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	m := &machine{Host: h, t: t, server: s}
	m.write("/opt/fake/systemctl", systemctl, 0o755)
	m.write("/opt/fake/journalctl", journalctl, 0o755)
	return m
}

func (m *machine) write(name, data string, mode fs.FileMode) {
	m.t.Helper()
	if err := m.WriteFile(m.t.Context(), name, []byte(data), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) sh(script string) string {
	m.t.Helper()
	out, err := m.RunScript(m.t.Context(), "looking", script)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// release makes a directory with a small release whose program says version v.
func release(t *testing.T, v string) (string, api.Artifacts) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name, data string
		mode       int64
	}{
		{"bin/rke2", "#!/bin/sh\necho 'rke2 version " + v + " (0123)'\n", 0o755},
		{"bin/rke2-uninstall.sh", "#!/bin/sh\nrm -f /usr/local/bin/rke2 /usr/local/bin/rke2-uninstall.sh\n", 0o755},
		{"lib/systemd/system/rke2-server.service", "ExecStart=/usr/local/bin/rke2 server\n", 0o644},
		{"lib/systemd/system/rke2-agent.service", "ExecStart=/usr/local/bin/rke2 agent\n", 0o644},
		{"share/rke2/filler", strings.Repeat("x", 1<<20), 0o644},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)),
			Uid: 1234}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.data)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	d := t.TempDir()
	for _, arch := range releaseArchitectures {
		write(t, filepath.Join(d, tarballName(arch)), b.String())
		write(t, filepath.Join(d, checksumsName(arch)), sumOf(b.String())+"  "+tarballName(arch)+"\n")
	}
	a, err := ResolveArtifacts(t.Context(), version, d, "")
	if err != nil {
		t.Fatal(err)
	}
	return d, a
}

// eventually polls a condition until it holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}
