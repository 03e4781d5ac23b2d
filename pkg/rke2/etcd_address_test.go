package rke2

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// resettingRKE2 refuses a second reset before a start, as RKE2 does, and says what the file /opt/rke2/refusal says.
const resettingRKE2 = `#!/bin/sh
echo "$@" >>/opt/rke2/calls
grep node-ip: /etc/rancher/rke2/config.yaml >>/opt/rke2/calls
if [ -e /opt/rke2/refusal ]; then cat /opt/rke2/refusal >&2; exit 1; fi
[ ! -e ` + serverDir + `/db/reset-flag ] || { echo 'level=fatal msg="was previously reset"' >&2; exit 1; }
touch ` + serverDir + `/db/reset-flag
`

// ownAddresses are the addresses of a machine, as ip prints them.
const ownAddresses = `#!/bin/sh
case "$*" in
"route get 10.0.0.2"|"route get 10.0.0.3"|"route get fd00::2") echo "local $3 dev lo src $3 uid 0"; exit;;
"route get "*) echo "$3 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0"; exit;;
esac
echo "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever"
echo "2: eth0    inet 10.0.0.2/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever preferred_lft forever"
echo "2: eth0    inet 10.0.0.3/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever preferred_lft forever"
echo "2: eth0    inet6 fd00::2/64 scope global \\       valid_lft forever preferred_lft forever"
`

func (m *machine) moveEtcd(address string) error {
	m.t.Helper()
	return MoveEtcd(m.t.Context(), m.Host, Node{Role: api.RoleHead, NodeName: "n", NodeIP: address, AgentToken: "a"})
}

func TestServersEtcdIsMovedOncePerAddress(t *testing.T) {
	m := newRestoredMachine(t)
	m.Write("/opt/rke2/bin/rke2", resettingRKE2, 0o755)
	m.InstallProgram("ip", ownAddresses)
	m.Write("/opt/rke2/refusal", "time=now level=fatal msg=\"Error: no etcd\"\n", 0o644)
	err := m.moveEtcd("10.0.0.2")
	if kindOf(err) != ResetFailed || IsFinal(err) || !strings.Contains(err.Error(), "10.0.0.2: Error: no etcd") {
		t.Fatalf("got %v", err)
	}
	m.RunShell("rm /opt/rke2/refusal /opt/rke2/calls")
	for _, address := range []string{"10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.2"} {
		if err := m.moveEtcd(address); err != nil {
			t.Fatal(err)
		}
	}
	want := ""
	for _, address := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.2"} {
		want += "server --cluster-reset\nnode-ip: " + address + "\n"
	}
	if got := m.RunShell("cat /opt/rke2/calls; cat " + etcdDir + "/member/data"); got != want+"now" {
		t.Errorf("the machine has\n%s\nwant\n%s", got, want)
	}
}

func TestServerWithoutDataIsNotReset(t *testing.T) {
	m := newRestoredMachine(t)
	m.RunShell("rm -r " + etcdDir)
	if err := m.moveEtcd("10.0.0.2"); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("cat /opt/rke2/calls /run/systemd/system/calls 2>/dev/null || true"); got != "" {
		t.Errorf("there were calls: %s", got)
	}
}

func TestServerIsNotStoppedForAnAddressThatItLacks(t *testing.T) {
	m := newRestoredMachine(t)
	m.Write("/opt/rke2/bin/rke2", resettingRKE2, 0o755)
	m.InstallProgram("ip", ownAddresses)
	for _, address := range []string{"10.0.0.20", "0.0.0.2", ""} {
		err := m.moveEtcd(address)
		if err == nil || address == "10.0.0.20" && (!IsFinal(err) ||
			!strings.Contains(err.Error(), "has only 127.0.0.1 10.0.0.2 10.0.0.3 fd00::2")) {
			t.Errorf("%q: got %v", address, err)
		}
	}
	if got := m.RunShell("cat /opt/rke2/calls /run/systemd/system/calls 2>/dev/null || true"); got != "" {
		t.Errorf("there were calls: %s", got)
	}
	if err := m.moveEtcd("fd00:0::2"); err != nil {
		t.Error(err)
	}
}

func TestEtcdOfARestoredServerIsAtItsAddress(t *testing.T) {
	m := newRestoredMachine(t)
	m.Write(etcdAddressFile, "10.0.0.2\n", 0o644)
	m.sendSnapshot(restored, "then")
	if _, err := m.restore(restored); err != nil {
		t.Fatal(err)
	}
	m.RunShell("rm /opt/rke2/calls")
	m.Write("/opt/rke2/bin/rke2", resettingRKE2, 0o755)
	m.InstallProgram("ip", ownAddresses)
	for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
		if err := m.moveEtcd(address); err != nil {
			t.Fatal(err)
		}
	}
	const want = "server --cluster-reset\nnode-ip: 10.0.0.2"
	if got := m.RunShell("cat /opt/rke2/calls"); got != want {
		t.Errorf("RKE2 was called with\n%s\nwant\n%s", got, want)
	}
}
