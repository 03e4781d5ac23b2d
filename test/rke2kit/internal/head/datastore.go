package head

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

const (
	etcdComponent = staticpod.Etcd
	etcdGrace     = 4 * time.Second
)

// etcdAddresses are host:port.
type etcdAddresses struct{ client, peer, metrics string }

func (h *Head) etcdDir() string { return h.serverPath("db", "etcd") }

func (h *Head) newEtcdClient() (*etcd.Client, error) {
	return etcd.NewClient("https://"+h.etcd.client, h.tlsPath("etcd/server-ca.crt"), h.tlsPath("etcd/client.crt"),
		h.tlsPath("etcd/client.key"))
}

// settleMemberName reads the member's name, or makes a new one.
func (h *Head) settleMemberName(fresh bool) error {
	file := h.serverPath("db", "etcd", "name")
	data, err := os.ReadFile(file)
	if err == nil && !fresh {
		h.member = string(data)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read name of etcd member: %w", err)
	}
	h.member = h.opts.NodeName + "-" + token.NewPassword()[:8]
	if err := os.MkdirAll(h.etcdDir(), 0o700); err != nil {
		return fmt.Errorf("create etcd directory: %w", err)
	}
	return pki.WriteFile(file, []byte(h.member), 0o600)
}

// startDatastore starts etcd and tells whether this is the first start after a reset.
func (h *Head) startDatastore(ctx context.Context) (wasReset bool, err error) {
	if err := h.settleMemberName(false); err != nil {
		return false, err
	}
	if err := h.startEtcd(ctx); err != nil {
		return false, err
	}
	err = os.Remove(h.resetFlag())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// startEtcd returns when the client port accepts connections; the apiserver
// waits for the rest itself, but is slow to retry a port that refused it.
func (h *Head) startEtcd(ctx context.Context) error {
	file := h.serverPath("db", "etcd.yaml")
	if err := pki.WriteFile(file, []byte(h.renderEtcdConfig()), 0o600); err != nil {
		return err
	}
	if err := h.startComponent(ctx, etcdComponent, []string{"--config-file=" + file}, nil); err != nil {
		return err
	}
	return h.awaitCondition(ctx, "etcd", func() error {
		conn, err := net.Dial("tcp", h.etcd.client)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// renderEtcdConfig renders a single member's configuration. Writes are not forced to the disk: they
// outlive every process, if not the machine, and many clusters share one disk
// in tests.
func (h *Head) renderEtcdConfig() string {
	security := fmt.Sprintf("  cert-file: %q\n  key-file: %q\n  client-cert-auth: true\n  trusted-ca-file: %q\n",
		h.tlsPath("etcd/server.crt"), h.tlsPath("etcd/server.key"), h.tlsPath("etcd/server-ca.crt"))
	return fmt.Sprintf(`name: %[1]s
data-dir: %[2]q
listen-client-urls: https://%[3]s
advertise-client-urls: https://%[3]s
listen-peer-urls: https://%[4]s
initial-advertise-peer-urls: https://%[4]s
initial-cluster: %[1]s=https://%[4]s
listen-metrics-urls: http://%[5]s
force-new-cluster: %[6]t
unsafe-no-fsync: true
auto-compaction-mode: periodic
auto-compaction-retention: 5m
log-level: warn
log-outputs: [stderr]
client-transport-security:
%[7]speer-transport-security:
%[7]s`, h.member, h.etcdDir(), h.etcd.client, h.etcd.peer, h.etcd.metrics, h.forceNewCluster, security)
}
