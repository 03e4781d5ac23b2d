package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// closeAPI closes a head's Kubernetes API to this computer, as a cloud's firewall does, as soon as the head exists.
func (i *installation) closeAPI(cluster string) {
	i.t.Helper()
	head := api.MachineName(cluster, 0)
	eventually.Holds(i.t, "the port of "+head+" is closed", func() bool {
		_, err := i.onHost(head, "sh", "-c",
			`iptables -I INPUT -p tcp --dport 6443 -s "$(ip -4 route show default | cut -d' ' -f3)" -j REJECT `+
				`--reject-with tcp-reset`)
		return err == nil
	})
}

// checkClosed checks that the API is only reachable through a tunnel.
func (i *installation) checkClosed(c api.Cluster) {
	i.t.Helper()
	for _, m := range c.Status.Machines {
		if m.Role != api.RoleHead {
			continue
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(m.Address, "6443"), 5*time.Second)
		if err == nil {
			conn.Close()
			i.t.Errorf("%s:6443 is open to this computer: this test proves nothing", m.Address)
		}
	}
}

// ready reports whether kubectl, with the kubeconfig that skyctl wrote, shows n Ready nodes.
func (i *installation) ready(cluster string, n int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(i.bin, "kubectl"), "--kubeconfig",
		filepath.Join(i.dir, "clusters", cluster, "kubeconfig"),
		"get", "nodes", "--no-headers").Output()
	return err == nil && strings.Count(string(out), " Ready ") == n
}

func TestTunnelToAClosedAPIOutlivesSkyd(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("behind", "--num_nodes", "2", "--api_access", "tunnel"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.closeAPI("behind")
	c := i.awaitReady("behind")
	i.checkClosed(c)
	if want := fmt.Sprintf("https://127.0.0.1:%d", c.Status.TunnelPort); c.Status.TunnelPort == 0 ||
		c.Status.Endpoint != want {
		t.Errorf("endpoint %s, port %d", c.Status.Endpoint, c.Status.TunnelPort)
	}
	i.holds("kubectl shows two Ready nodes", func() bool { return i.ready("behind", 2) })
	i.checkPrivate("behind")

	i.killSkyd()
	if i.ready("behind", 2) {
		t.Error("kubectl reaches the API without a tunnel")
	}
	i.run("server", "start")
	i.holds("kubectl works again", func() bool { return i.ready("behind", 2) })

	if out, err := i.onHost("sky-behind-0", "pkill", "-f", `sshd: .*(@|\[priv\])`); err != nil {
		t.Fatalf("kill the sessions of sshd: %v\n%s", err, out)
	}
	i.holds("kubectl works over a new connection", func() bool { return i.ready("behind", 2) })

	i.run("delete", "cluster", "behind", "--yes", "--wait")
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.Status.Endpoint, "https://"),
		5*time.Second); err == nil {
		conn.Close()
		t.Error("the tunnel's port is still open")
	}
}
