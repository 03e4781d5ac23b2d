package rke2

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// machine is a machine for RKE2. Its /usr/local is a mount point, so RKE2 uses /opt/rke2. A script replaces systemctl:
// it stores the state of each unit in files and records its calls.
type machine struct {
	*nsmachine.Machine
	t *testing.T
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

// journalctl prints the journal file, or, if it is asked for the last minute only, the one beside it, if there is one;
// with -f it runs until its reader ends.
const journalctl = `#!/bin/sh
cd /run/systemd/system || exit 1
for a; do case "$a" in --since=@*)
  if [ -e journal.recent ] && [ "${a#*@}" -gt $(($(date +%s) - 60)) ]; then cat journal.recent; exit; fi;;
esac; done
cat journal 2>/dev/null
for a; do [ "$a" != -f ] || { echo $$ >/run/systemd/system/follower; exec sleep infinity; }; done
`

// unit sets the state of a unit that systemctl shows.
func (m *machine) unit(name, state string) {
	m.t.Helper()
	for k, v := range ParseKeyValues(state) {
		m.Write("/run/systemd/system/"+name+"."+k, v+"\n", 0o644)
	}
}

// machineDirs are the private directories of a machine.
var machineDirs = []string{"/usr/local", "/etc/rancher", "/etc/systemd/system", "/var/lib/skyctl", "/var/lib/rancher",
	"/run/systemd/system", "/var/log/pods", envDir}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{Machine: nsmachine.Start(t, machineDirs), t: t}
	m.InstallProgram("systemctl", systemctl)
	m.InstallProgram("journalctl", journalctl)
	return m
}

// writeRelease creates a directory with a small release whose program reports version v.
func writeRelease(t *testing.T, v string) (string, api.Artifacts) {
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
