// Package etcdtest runs an etcd in the process of a test.
package etcdtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
)

// Server is a running etcd with certificates of its own.
type Server struct {
	DataDir string
	Client  *etcd.Client
	Stop    func()
}

// Start runs an etcd until the test ends.
func Start(t *testing.T) *Server {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.LoadOrCreateCA(dir, "ca", "etcd-ca")
	if err != nil {
		t.Fatal(err)
	}
	for name, leaf := range map[string]pki.Leaf{
		"server": {CommonName: "etcd-server", Hosts: []string{"127.0.0.1"}, Server: true, Client: true},
		"client": {CommonName: "etcd-client", Client: true},
	} {
		if err := ca.IssueTo(filepath.Join(dir, name), leaf); err != nil {
			t.Fatal(err)
		}
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.UnsafeNoFsync = filepath.Join(dir, "etcd"), "error", true
	cfg.ClientTLSInfo = transport.TLSInfo{CertFile: filepath.Join(dir, "server.crt"),
		KeyFile: filepath.Join(dir, "server.key"), TrustedCAFile: filepath.Join(dir, "ca.crt"), ClientCertAuth: true}
	addresses := FreeAddresses(t, 2)
	clientURL, peerURL := url.URL{Scheme: "https", Host: addresses[0]}, url.URL{Scheme: "http", Host: addresses[1]}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peerURL}, []url.URL{peerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(server.Close)
	t.Cleanup(stop)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(2 * time.Minute):
		t.Fatal("etcd is not ready after 2 minutes")
	}
	client, err := etcd.NewClient(clientURL.String(), filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.crt"),
		filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &Server{DataDir: cfg.Dir, Client: client, Stop: stop}
}

// Ports are taken from below those that the kernel gives to outgoing connections (32768 and up): no connection takes
// one before its server listens, or while the server restarts.
const lowPort, highPort = 12000, 32000

// FreeAddresses returns n addresses of loopback at which nothing listens.
func FreeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var found []string
	var held []net.Listener
	defer func() { // once all are found
		for _, l := range held {
			l.Close()
		}
	}()
	for range 1000 {
		if len(found) == n {
			return found
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowPort+rand.IntN(highPort-lowPort)))
		if err != nil {
			continue
		}
		held = append(held, listener)
		found = append(found, listener.Addr().String())
	}
	t.Fatalf("found %d of %d free ports", len(found), n)
	return nil
}
