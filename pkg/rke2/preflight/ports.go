package preflight

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// Port is a port that machines of a cluster must reach on each other (docs.rke2.io/install/requirements, "Inbound
// Network Rules"). The ports of etcd are not included: a cluster has one server, which reaches its etcd on loopback.
type Port struct {
	Number int
	// UDP is true for UDP ports, false for TCP ports.
	UDP bool
	// Server describes the process that listens on the port.
	Server string
}

// The ports of the head, of every kubelet, and of the pod network.
var (
	HeadSupervisorPort = Port{Number: rke2.SupervisorPort, Server: "the RKE2 supervisor"}
	HeadAPIPort        = Port{Number: rke2.APIPort, Server: "the Kubernetes API server"}
	KubeletPort        = Port{Number: 10250, Server: "the kubelet"}
	OverlayPort        = Port{Number: 8472, UDP: true, Server: "the pod network (VXLAN)"}
	// StandardOverlayPort is that of calico and flannel as RKE2 ships them (docs.rke2.io/install/requirements).
	StandardOverlayPort = Port{Number: 4789, UDP: true, Server: "the pod network (VXLAN)"}
	// EncryptedOverlayPort takes the place of OverlayPort where strangers reach every port.
	EncryptedOverlayPort = Port{Number: 51820, UDP: true, Server: "the pod network (WireGuard)"}
)

func (p Port) String() string {
	if p.UDP {
		return fmt.Sprintf("%d/udp", p.Number)
	}
	return fmt.Sprintf("%d/tcp", p.Number)
}

// PortContact is the result of an attempt to reach a port.
type PortContact string

// The results of an attempt. PortUnknown: undetermined; UDP ports do not answer, so only a rejection is visible.
const (
	PortUnknown  PortContact = ""
	PortOpen     PortContact = "open"
	PortRejected PortContact = "rejected"
	PortSilent   PortContact = "silent"
)

const (
	tcpProbe = `
command -v curl >/dev/null || exit 72
connected=$(curl --noproxy '*' -s -o /dev/null --connect-timeout 4 -m 6 -w '%{time_connect}' "http://$address:$port/")
status=$?
case $status in
7) echo rejected;;
28) case "$connected" in *[1-9]*) echo open;; *) echo silent;; esac;;
0|1|8|18|52|55|56) echo open;; # the reaction of a TLS server to HTTP
esac
true`
	// A rejection is reported as an error of a later write.
	udpProbe = `
command -v bash >/dev/null || exit 0
bash -c 'exec 3>"/dev/udp/$0/$1" && for i in 1 2 3; do printf x >&3 || exit 1; sleep 0.2; done' "$address" "$port" \
  2>/dev/null || echo rejected
true`
)

// ProbePort tries to reach a port of an address from a machine.
func ProbePort(ctx context.Context, from *remote.Host, address string, p Port) (PortContact, error) {
	probe := tcpProbe
	if p.UDP {
		probe = udpProbe
	}
	if strings.Contains(address, ":") && !p.UDP {
		address = "[" + address + "]"
	}
	script := fmt.Sprintf("address=%s; port=%d\n%s", remote.QuoteShell(address), p.Number, probe)
	out, err := from.RunScript(ctx, "reaching port "+p.String()+" of "+address, script)
	if err != nil {
		return PortUnknown, err
	}
	switch c := PortContact(strings.TrimSpace(string(out))); c {
	case PortOpen, PortRejected, PortSilent:
		return c, nil
	}
	return PortUnknown, nil
}

// IsListening reports whether a process on the machine listens on a port of one of its addresses.
func IsListening(ctx context.Context, on *remote.Host, address string, p Port) (bool, error) {
	table, state := "tcp", "0A"
	if p.UDP {
		table, state = "udp", "07"
	}
	sockets := fmt.Sprintf("cat /proc/net/%s /proc/net/%[1]s6 2>/dev/null", table)
	bound := fmt.Sprintf(`awk '$4 == "%s" && $2 ~ /:%04X$/ {sub(/:.*/, "", $2); print $2}'`, state, p.Number)
	out, err := on.RunScript(ctx, "checking for a listener", sockets+" | "+bound)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(strings.Fields(string(out)),
		func(local string) bool { return socketAccepts(local, address) }), nil
}

// socketAccepts reports whether a socket with the given local address, in the form of /proc/net, receives data for an
// address.
func socketAccepts(local, address string) bool {
	if strings.Trim(local, "0") == "" {
		return true
	}
	ip := net.ParseIP(address)
	if v4 := ip.To4(); v4 != nil && len(local) == 8 {
		ip = v4
	}
	b, err := hex.DecodeString(local)
	if err != nil || len(b) != len(ip) {
		return false
	}
	for i := range b { // words of four bytes in little-endian order
		if b[i] != ip[i/4*4+3-i%4] {
			return false
		}
	}
	return true
}

const (
	// maxRejections is the number of rejections in a row that are final, maxSilence the longest accepted time without
	// an answer.
	maxRejections = 3
	maxSilence    = 30 * time.Second
)

// PortTrial decides from repeated attempts whether a machine can reach a port of another one.
type PortTrial struct {
	Port Port
	// From and To are the names of the machines, with their addresses.
	From, To string

	rejected int
	silent   time.Time
}

// AddContact adds the result of an attempt that was made while the other machine listened on the port. It returns a
// final *rke2.Error once the port is certainly closed.
func (t *PortTrial) AddContact(c PortContact, now time.Time) error {
	if c != PortRejected {
		t.rejected = 0
	}
	if c != PortSilent {
		t.silent = time.Time{}
	}
	switch c {
	case PortRejected:
		if t.rejected++; t.rejected >= maxRejections {
			return t.newClosedError("connections are rejected")
		}
	case PortSilent:
		if t.silent.IsZero() {
			t.silent = now
		} else if now.Sub(t.silent) >= maxSilence {
			return t.newClosedError(fmt.Sprintf("connections get no answer for %s",
				now.Sub(t.silent).Round(time.Second)))
		}
	}
	return nil
}

func (t *PortTrial) newClosedError(how string) error {
	return &rke2.Error{Kind: rke2.PortClosed, Permanent: true, Message: fmt.Sprintf(
		"%s cannot reach port %s of %s, on which %s listens: %s. Something between them blocks it: open %s from %s to "+
			"%s in the cloud's firewall or security group and in the machines' own (iptables, nftables, firewalld), "+
			"then try again. Machines of a cluster need these ports of each other: 9345/tcp and 6443/tcp of the head, "+
			"10250/tcp and 8472/udp of all machines, or 51820/udp instead where strangers reach every port",
		t.From, t.Port, t.To, t.Port.Server, how, t.Port, t.From, t.To)}
}
