package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// deadProxy is a proxy that records requests and forwards none.
func deadProxy(t *testing.T) (address string, asked func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	first := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line := make([]byte, 200)
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := c.Read(line)
			select {
			case first <- string(line[:n]):
			default:
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String(), func() string {
		select {
		case line := <-first:
			return line
		default:
			return ""
		}
	}
}

// withDeadProxy returns an environment with a dead proxy, and what has been asked of it.
func withDeadProxy(t *testing.T, environ []string) (changed []string, asked func() string) {
	t.Helper()
	proxy, asked := deadProxy(t)
	return append(slices.Clone(environ), "HTTPS_PROXY=http://"+proxy, "HTTP_PROXY=http://"+proxy,
		"https_proxy=http://"+proxy, "NO_PROXY=", "no_proxy="), asked
}

// apiOutOfReach blocks the API of a healthy head for longer than an unhealthy head is tolerated.
func apiOutOfReach(i *installation) {
	run := func() string {
		return i.sh("sky-fitted-0", "systemctl show -p InvocationID --value rke2-server")
	}
	before := run()
	gateway := i.sh("sky-fitted-0", "ip route | awk '/^default/ {print $3}'")
	closed := "-s " + strings.TrimSpace(gateway) + " -p tcp --dport 6443 -j REJECT"
	i.sh("sky-fitted-0", "iptables -I INPUT "+closed)
	i.await("fitted", "unreachable for longer than an unhealthy head is tolerated", func(c api.Cluster) bool {
		for _, d := range c.Status.Drift {
			if d.Reason == api.DriftAPIUnreachable && time.Since(d.Since) > 30*time.Second {
				return true
			}
		}
		return false
	})
	i.sh("sky-fitted-0", "iptables -D INPUT "+closed)
	c := i.inSync("fitted")
	if len(c.Status.Repairs) > 0 {
		i.t.Errorf("a healthy cluster was repaired: %+v", c.Status.Repairs)
	}
	if after := run(); after != before {
		i.t.Error("the server of a healthy head was restarted")
	}
}
