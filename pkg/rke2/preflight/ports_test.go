package preflight

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

func TestClosedPortIsFinalOnceCertain(t *testing.T) {
	second := time.Second
	for name, tt := range map[string]struct {
		seen []PortContact
		each time.Duration
		want string
	}{
		"rejected": {[]PortContact{PortRejected, PortRejected, PortRejected}, second,
			"connections are rejected"},
		"rejected twice": {[]PortContact{PortRejected, PortRejected}, second, ""},
		"not in a row": {[]PortContact{PortRejected, PortRejected, PortSilent, PortRejected, PortRejected},
			second, ""},
		"silent": {[]PortContact{PortSilent, PortSilent, PortSilent, PortSilent}, 10 * second,
			"no answer for 30s"},
		"silent for a while": {[]PortContact{PortSilent, PortSilent, PortSilent}, 10 * second, ""},
		"silent twice": {[]PortContact{PortSilent, PortSilent, PortOpen, PortSilent, PortSilent}, 20 * second,
			""},
		"undetermined": {[]PortContact{PortUnknown, PortUnknown, PortUnknown, PortUnknown}, 20 * second, ""},
		"silent, then rejected": {[]PortContact{PortSilent, PortSilent, PortRejected, PortRejected, PortRejected},
			second, "connections are rejected"},
	} {
		trial := PortTrial{Port: HeadSupervisorPort, From: "sky-x-1 (10.0.0.2)", To: "sky-x-0 (10.0.0.1)"}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var err error
		for _, c := range tt.seen {
			if err = trial.AddContact(c, now); err != nil {
				break
			}
			now = now.Add(tt.each)
		}
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if errorKind(err) != rke2.PortClosed || !rke2.IsFinal(err) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, says := range []string{tt.want, "sky-x-1 (10.0.0.2) cannot reach port 9345/tcp of sky-x-0 (10.0.0.1)",
			"open 9345/tcp from sky-x-1", "the RKE2 supervisor"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q does not say %q", name, err, says)
			}
		}
	}
}

func TestSocketAcceptsDataForItsAddress(t *testing.T) {
	for _, tt := range []struct {
		local, address string
		want           bool
	}{
		{"00000000", "10.0.0.7", true},
		{"0700000A", "10.0.0.7", true},
		{"0100007F", "10.0.0.7", false},
		{"00000000000000000000000000000000", "10.0.0.7", true},
		{"0000000000000000FFFF00000700000A", "10.0.0.7", true},
		{"0000000000000000FFFF00000100007F", "10.0.0.7", false},
		{"B80D0120000000000000000001000000", "2001:db8::1", true},
		{"B80D0120000000000000000002000000", "2001:db8::1", false},
		{"nonsense", "10.0.0.7", false},
		{"0700000A", "", false},
	} {
		if got := socketAccepts(tt.local, tt.address); got != tt.want {
			t.Errorf("a socket at %s accepts data for %q: %v", tt.local, tt.address, got)
		}
	}
}

func TestPortsAreProbedFromTheMachine(t *testing.T) {
	m := nsmachine.Start(t, nil)
	// a proxy would answer for every port
	m.Server.Env = append(m.Server.Env, "https_proxy=http://127.0.0.1:1", "no_proxy=")
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	open := Port{Number: listener.Addr().(*net.TCPAddr).Port, Server: "the test"}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // a port without a TLS server is open, too
		}
	}()
	try := func(address string, p Port, contact PortContact, listens bool) {
		t.Helper()
		if got, err := ProbePort(t.Context(), m.Host, address, p); err != nil || got != contact {
			t.Errorf("port %s of %s is %q, want %q: %v", p, address, got, contact, err)
		}
		if got, err := IsListening(t.Context(), m.Host, address, p); err != nil || got != listens {
			t.Errorf("something listens on port %s of %s: %v, %v", p, address, got, err)
		}
	}
	try("127.0.0.2", open, PortOpen, true)
	try("127.0.0.3", open, PortRejected, false)

	udp, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	overlay := Port{Number: udp.LocalAddr().(*net.UDPAddr).Port, UDP: true, Server: "the test"}
	try("127.0.0.2", overlay, PortUnknown, true)
	try("127.0.0.3", overlay, PortRejected, false)
}
