package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// rule adds a rule to a host's firewall, as soon as the host exists.
func (i *installation) rule(host string, args ...string) {
	i.t.Helper()
	eventually.Holds(i.t, host+" has its rule", func() bool {
		_, err := i.onHost(host, append([]string{"iptables", "-I", "INPUT"}, args...)...)
		return err == nil
	})
}

func TestRejectedWorkerPortEndsTheCreateEarly(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("closed", "--num_nodes", "2"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.rule("sky-closed-0", "-p", "tcp", "--dport", "9345", "!", "-i", "lo", "-j", "REJECT")
	c := i.await("closed", "ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	f := c.Status.Failure
	if f == nil || f.Machine != "sky-closed-1" || f.Reason != "PortClosed" ||
		!strings.Contains(f.Message, "cannot reach port 9345/tcp of sky-closed-0") {
		t.Fatalf("failure: %+v", f)
	}
	if n := len(i.hosts("closed")); n != 0 {
		t.Errorf("%d hosts are left", n)
	}
}

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

func TestProxyIsNotUsedForTheClustersMachines(t *testing.T) {
	needsKit(t, "the official release and its images would be fetched through the proxy, which forwards nothing")
	t.Parallel()
	i := newWatched(t)
	proxy, asked := deadProxy(t)
	i.env = append(i.env, "HTTPS_PROXY=http://"+proxy, "HTTP_PROXY=http://"+proxy, "https_proxy=http://"+proxy,
		"NO_PROXY=", "no_proxy=")
	if r := i.create("proxied", "--num_nodes", "3"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for n := range 3 {
		host := fmt.Sprintf("sky-proxied-%d", n)
		eventually.Holds(t, host+" has its proxy", func() bool {
			_, err := i.onHost(host, "sh", "-c", "echo https_proxy=http://127.0.0.1:1 >>/etc/environment")
			return err == nil
		})
	}
	i.awaitReady("proxied")
	i.inSync("proxied")
	if _, err := i.onHost("sky-proxied-1", "grep", "-q", "NO_PROXY=.*10.43.0.0/16",
		"/etc/rancher/rke2/skyctl-proxy.env"); err != nil {
		t.Errorf("RKE2 on a worker has no list of addresses without the proxy: %v", err)
	}
	if line := asked(); line != "" {
		t.Errorf("the proxy was used for %q", line)
	}
	i.apiOutOfReach()
}

// apiOutOfReach blocks the API of a healthy head for longer than an unhealthy head is tolerated.
func (i *installation) apiOutOfReach() {
	i.t.Helper()
	run := func() string {
		out, err := i.onHost("sky-proxied-0", "systemctl", "show", "-p", "InvocationID", "--value", "rke2-server")
		if err != nil {
			i.t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	before := run()
	gateway, err := i.onHost("sky-proxied-0", "sh", "-c", "ip route | awk '/^default/ {print $3}'")
	if err != nil {
		i.t.Fatal(err)
	}
	closed := []string{"-s", strings.TrimSpace(gateway), "-p", "tcp", "--dport", "6443", "-j", "REJECT"}
	i.rule("sky-proxied-0", closed...)
	i.await("proxied", "unreachable for longer than an unhealthy head is tolerated", func(c api.Cluster) bool {
		for _, d := range c.Status.Drift {
			if d.Reason == api.DriftAPIUnreachable && time.Since(d.Since) > 30*time.Second {
				return true
			}
		}
		return false
	})
	if _, err := i.onHost("sky-proxied-0", append([]string{"iptables", "-D", "INPUT"}, closed...)...); err != nil {
		i.t.Fatal(err)
	}
	c := i.inSync("proxied")
	if len(c.Status.Repairs) > 0 {
		i.t.Errorf("a healthy cluster was repaired: %+v", c.Status.Repairs)
	}
	if after := run(); after != before {
		i.t.Error("the server of a healthy head was restarted")
	}
}
