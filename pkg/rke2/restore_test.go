package rke2

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// fakeRKE2 does to etcd's directory what a restore does, and says what the file /opt/rke2/refusal says.
const fakeRKE2 = `#!/bin/sh
echo "$@" >>/opt/rke2/calls
case "$2" in --cluster-reset) ;; *) exit 1;; esac
etcd=/var/lib/rancher/rke2/server/db/etcd
n=$(wc -l </opt/rke2/calls)
mkdir -p $etcd; mv $etcd $etcd-old-100$n; mkdir -p $etcd/member
cat "${3#*=}" >$etcd/member/data
if [ -e /opt/rke2/refusal ]; then cat /opt/rke2/refusal >&2; exit 1; fi
`

const restored = "restore-1"

func newRestoredMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Write("/opt/rke2/bin/rke2", fakeRKE2, 0o755)
	m.Write("/run/systemd/system/rke2-server.LoadState", "loaded\n", 0o644)
	m.Write(etcdDir+"/member/data", "now", 0o600)
	return m
}

func (m *machine) restore(id string) (RestoreState, error) {
	m.t.Helper()
	n := Node{Role: api.RoleHead, NodeName: "n", NodeIP: "10.0.0.1", AgentToken: "a"}
	return RestoreServer(m.t.Context(), m.Host, n, Restore{ID: id, Token: "K10aa::server:secret"})
}

func (m *machine) sendSnapshot(id, content string) {
	m.t.Helper()
	if _, err := ReserveRestore(m.t.Context(), m.Host, id, int64(len(content))); err != nil {
		m.t.Fatal(err)
	}
	m.Write(RestoreFile(id), content, 0o644)
}

func TestServerIsRestoredOnceAndKeepsItsOldData(t *testing.T) {
	m := newRestoredMachine(t)
	m.sendSnapshot(restored, "then")
	for range 2 {
		state, err := m.restore(restored)
		if err != nil || !state.Done || state.OldEtcd != etcdDir+"-old-1001" {
			t.Fatalf("%+v, %v", state, err)
		}
	}
	if got := m.RunShell("cat " + etcdDir + "/member/data " + etcdDir + "-old-1001/member/data /opt/rke2/calls; " +
		"ls " + restoreDir + "/*/; stat -c %a " + tokenDropIn + " " + restoreDir + "; cat " + tokenDropIn +
		"; cat /run/systemd/system/calls"); got != "thennowserver --cluster-reset --cluster-reset-restore-path="+
		RestoreFile(restored)+"\nbefore\ndone\nlock\nlog\nold\n600\n700\n"+writtenBySkyctl+
		"token: K10aa::server:secret\ndisable --now -q rke2-server" {
		t.Errorf("the machine has\n%s", got)
	}
	if state, err := ReserveRestore(t.Context(), m.Host, restored, 4); err != nil || !state.Done {
		t.Errorf("a second upload is wanted: %+v, %v", state, err)
	}
	m.sendSnapshot("restore-2", "later")
	if state, err := m.restore("restore-2"); err != nil || state.OldEtcd != etcdDir+"-old-1002" {
		t.Errorf("another restore: %+v, %v", state, err)
	}
}

func TestInterruptedRestoreIsRepeatedAndNamesTheServersOwnData(t *testing.T) {
	m := newRestoredMachine(t)
	m.sendSnapshot(restored, "then")
	m.Write("/opt/rke2/refusal", "level=fatal msg=\"Error: context deadline exceeded\"\n", 0o644)
	_, err := m.restore(restored)
	if kindOf(err) != ResetFailed || IsFinal(err) || !strings.Contains(err.Error(), "context deadline exceeded") {
		t.Fatalf("got %v", err)
	}
	m.RunShell("rm /opt/rke2/refusal")
	state, err := m.restore(restored)
	if err != nil || state.OldEtcd != etcdDir+"-old-1001" {
		t.Fatalf("%+v, %v", state, err)
	}
	if got := m.RunShell("cat " + state.OldEtcd + "/member/data"); got != "now" {
		t.Errorf("it has %q", got)
	}
}

func TestRefusalsOfARestoreAreTyped(t *testing.T) {
	m := newRestoredMachine(t)
	if _, err := m.restore(restored); kindOf(err) != SnapshotMissing {
		t.Errorf("without a snapshot: %v", err)
	}
	m.sendSnapshot(restored, "then")
	for text, kind := range map[string]string{
		"bootstrap data already found and encrypted with different token":                        WrongToken,
		"/var/lib/rancher/rke2/server/tls newer than datastore and could cause a cluster outage": NewerCredentials,
		"expected sha256 [1 2], got [3 4]":                                                       SnapshotDamaged,
		"write /var/lib: no space left on device":                                                NoRoom,
	} {
		m.Write("/opt/rke2/refusal", "time=now level=fatal msg=\""+text+"\"\n", 0o644)
		_, err := m.restore(restored)
		if kindOf(err) != kind || !IsFinal(err) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := m.restore("a/../b"); err == nil {
		t.Error("an id that leaves the directory is accepted")
	}
	_, err := ReserveRestore(t.Context(), m.Host, "restore-2", 1<<50)
	if kindOf(err) != NoRoom || !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("a huge snapshot: %v", err)
	}
}
