package gateway

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

func TestClientIsAnAddressOrANetworkOfIPv6(t *testing.T) {
	for address, want := range map[string]string{"10.0.0.7:4711": "10.0.0.7/32", "[::ffff:10.0.0.7]:1": "10.0.0.7/32",
		"[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "[::1]:1": "::/64"} {
		at := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
		if got := clientOf(at).String(); got != want {
			t.Errorf("%s is of client %s, want %s", address, got, want)
		}
	}
}

func TestPanicInAHandshakeEndsThatClientOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log lockedbuffer.Buffer
	h := newHandshakeListener(l, handshakeOptions{timeout: time.Hour, perClient: 1,
		log: slog.New(slog.NewTextHandler(&log, nil)), tls: &tls.Config{MinVersion: tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a fault of the files") }}})
	defer h.Close()
	for range 2 {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "gateway"})
		if err == nil {
			_, err = io.ReadAll(c)
			c.Close()
		}
		if err == nil {
			t.Error("a handshake without a certificate succeeds")
		}
	}
	eventually.Holds(t, "both panics are logged", func() bool {
		return strings.Count(log.String(), "level=ERROR") == 2 &&
			strings.Count(log.String(), "a fault of the files") >= 2
	})
}
