package gateway_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/test/eventually"
)

// connectSilently opens connections from an address of loopback, which say nothing. The oldest is the first.
func connectSilently(t *testing.T, s *scene, from string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for i := range conns {
		c, err := d.DialContext(t.Context(), "tcp", s.server.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return conns
}

// awaitHangUp waits until the other side has ended a connection without a word.
func awaitHangUp(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(eventually.Patience(time.Minute)))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) && !isReset(err) {
		t.Fatalf("got %d bytes, %v; want a hang-up", n, err)
	}
}

// Handshakes never time out here. There are more silent connections than the gateway accepts.
func TestClientsWithoutCertificatesHoldNobodyUp(t *testing.T) {
	const maxConnections, silent = 16, 40
	for what, from := range map[string]string{"another address": "127.0.0.2", "the member's address": "127.0.0.1"} {
		t.Run(what, func(t *testing.T) {
			s := newSceneWith(t, gateway.Options{MaxConnections: maxConnections, HandshakeTimeout: time.Hour},
				newMachinePort(t, greeting).Addr())
			conns := connectSilently(t, s, from, silent)
			for _, c := range conns[:silent-maxConnections/4] {
				awaitHangUp(t, c)
			}
			if _, err := s.dial("sky-far-0"); err != nil {
				t.Errorf("a member: %v", err)
			}
			if n := strings.Count(s.log.String(), "too many unfinished TLS handshakes"); n != 1 {
				t.Errorf("logged %d times: %s", n, &s.log)
			}
		})
	}
}

func TestHandshakeIsNotWaitedForWithoutLimit(t *testing.T) {
	s := newSceneWith(t, gateway.Options{HandshakeTimeout: 50 * time.Millisecond})
	awaitHangUp(t, connectSilently(t, s, "127.0.0.1", 1)[0])
	eventually.Holds(t, "the reason is logged", func() bool {
		return strings.Contains(s.log.String(), "no TLS handshake within 50ms")
	})
}

func TestPanicsAreLoggedAsErrors(t *testing.T) {
	s := newScene(t, 0)
	if _, err := s.newClient().DialMachine(t.Context(), "sky-panic-0", "uid-panic"); err == nil {
		t.Error("a connection is passed on")
	}
	eventually.Holds(t, "the panic is logged", func() bool {
		return strings.Contains(s.log.String(), "level=ERROR") && strings.Contains(s.log.String(), "panic serving") &&
			strings.Contains(s.log.String(), "a fault of the look-up")
	})
	if strings.Contains(s.log.String(), "refused") {
		t.Errorf("it is logged as a refusal: %s", &s.log)
	}
	if _, err := s.newClient().ReadVersion(t.Context()); err != nil {
		t.Errorf("the gateway after a panic: %v", err)
	}
}

// The Go runtime listens on both families where an address of IPv4 means all (package net, Listen).
func TestGatewayOnAllAddressesServesBothFamilies(t *testing.T) {
	s := newSceneWith(t, gateway.Options{Listen: "0.0.0.0:0"})
	_, port, err := net.SplitHostPort(s.server.Address())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			t.Logf("this computer has no %s: %v", host, err)
			continue
		} else if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c := s.newClient()
		c.Address, c.TLS.ServerName = net.JoinHostPort(host, port), "127.0.0.1"
		if _, err := c.ReadVersion(t.Context()); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}
