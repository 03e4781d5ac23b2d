package store_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
)

func TestUnavailableEtcdIsReportedQuickly(t *testing.T) {
	t.Parallel()
	address := freeport.GetAddress(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	must(t, err)
	defer silent.Close()
	for what, at := range map[string]string{"connection refused": address, "timeout": silent.Addr().String()} {
		ctx := eventually.Context(t, time.Minute)
		_, err := store.Open(ctx, store.Options{Endpoints: []string{"http://" + at}})
		down := wantErr[*store.UnavailableError](t, err)
		if ctx.Err() != nil {
			t.Errorf("%s: it was waited for until the caller gave up", what)
		}
		if msg := down.Error(); !strings.Contains(msg, "etcd at http://"+at+" does not answer: ") ||
			!strings.Contains(msg, what) || strings.Contains(msg, "\n") {
			t.Errorf("got error %q", msg)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Open(ctx, store.Options{Endpoints: []string{"http://" + address}}); !errors.Is(err,
		context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, bad := range []store.Options{{}, {Endpoints: []string{"http://" + address}, SecretsKey: []byte("short")}} {
		if _, err := store.Open(t.Context(), bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestStoreReconnectsAfterOutage(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), freeport.GetAddress(t)
	e, err := etcdserver.Start(dir, address)
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{"http://" + address}, Prefix: "/p",
		DialTimeout: 10 * time.Second})
	must(t, err)
	defer s.Close()
	w := world{Store: s}
	r := w.created(t, "a", "u1")
	e.Close()
	_, err = s.UpdateCluster(eventually.Context(t, time.Second), r, phase(api.PhaseReady))
	down := wantErr[*store.UnavailableError](t, err)
	if msg := err.Error(); !strings.HasPrefix(msg, `reading cluster "a": etcd at http://`+address+" does not answer") ||
		strings.Contains(msg, "\n") {
		t.Errorf("got error %q", msg)
	}
	if !errors.Is(down, context.DeadlineExceeded) {
		t.Errorf("the error does not wrap its cause: %v", down)
	}
	e, err = etcdserver.Start(dir, address)
	must(t, err)
	defer e.Close()
	eventually.Succeeds(t, "the store is connected again", func() error {
		_, err := s.UpdateCluster(t.Context(), r, phase(api.PhaseReady))
		return err
	})
}

// freezer forwards bytes to etcd until it freezes: then connections stay open without any traffic.
type freezer struct {
	net.Listener
	frozen chan struct{}
}

func newFreezer(t *testing.T, to string) *freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &freezer{Listener: l, frozen: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			go f.pass(near, far)
			go f.pass(far, near)
		}
	}()
	return f
}

func (f *freezer) pass(from, to net.Conn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		select {
		case <-f.frozen:
			return
		default:
			to.Write(b[:n])
		}
	}
}

func TestFrozenEtcdIsReportedQuickly(t *testing.T) {
	t.Parallel()
	f := newFreezer(t, strings.TrimPrefix(shared, "http://"))
	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{"http://" + f.Addr().String()},
		Prefix: "/frozen", DialTimeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	r := world{Store: s}.created(t, "a", "u1")
	close(f.frozen)
	for what, call := range map[string]func(context.Context) error{
		"read":  func(ctx context.Context) error { _, err := s.ReadCluster(ctx, "a"); return err },
		"write": func(ctx context.Context) error { return s.DeleteCluster(ctx, r) },
		"watch": func(ctx context.Context) error { _, err := s.WatchClusters(ctx, "a"); return err },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx := eventually.Context(t, time.Minute)
			wantErr[*store.UnavailableError](t, call(ctx))
			if ctx.Err() != nil {
				t.Error("it was waited for until the caller gave up")
			}
		})
	}
}

// authority creates certificates in a temporary directory.
func authority(t *testing.T) (*pki.Authority, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := pki.EnsureAuthority(pki.Pair{Cert: filepath.Join(dir, "ca.crt"), Key: filepath.Join(dir, "ca.key")},
		"test", time.Now())
	must(t, err)
	return a, dir
}

func clientTLS(t *testing.T, trusted, own *pki.Authority) *tls.Config {
	t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	cfg.RootCAs.AppendCertsFromPEM(trusted.CertificatePEM())
	if own != nil {
		cert, key, err := own.IssueCertificate(pki.Leaf{Subject: "me", Client: true}, time.Now())
		must(t, err)
		pair, err := tls.X509KeyPair(cert, key)
		must(t, err)
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

func TestEtcdConnectionErrorsNameTheTLSProblem(t *testing.T) {
	t.Parallel()
	ours, dir := authority(t)
	theirs, _ := authority(t)
	server := pki.Pair{Cert: filepath.Join(dir, "server.crt"), Key: filepath.Join(dir, "server.key")}
	_, err := ours.EnsureCertificate(server, pki.Leaf{Subject: "etcd", Server: true, Client: true,
		Hosts: []string{"127.0.0.1"}}, time.Now())
	must(t, err)
	e, err := etcdserver.Start(dir, etcdserver.AnyPort, func(c *embed.Config) {
		c.ListenClientUrls[0].Scheme = "https"
		c.ClientTLSInfo = transport.TLSInfo{CertFile: server.Cert, KeyFile: server.Key,
			TrustedCAFile: filepath.Join(dir, "ca.crt"), ClientCertAuth: true}
	})
	must(t, err)
	defer e.Close()
	at := "https://" + e.Clients[0].Addr().String()

	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{at}, TLS: clientTLS(t, ours, ours),
		DialTimeout: 10 * time.Second})
	must(t, err)
	_, err = s.EnsureInstallationID(t.Context())
	must(t, err)
	must(t, s.Close())
	for _, c := range []struct {
		what string
		tls  *tls.Config
		says string
	}{
		{"no certificate", clientTLS(t, ours, nil), "certificate required"},
		{"another authority's certificate", clientTLS(t, ours, theirs), "certificate"},
		{"another authority trusted", clientTLS(t, theirs, ours), "unknown authority"},
	} {
		eventually.Succeeds(t, c.what, func() error { // the handshake of a busy computer may not be over in time
			_, err := store.Open(t.Context(), store.Options{Endpoints: []string{at}, TLS: c.tls,
				DialTimeout: time.Second})
			down := wantErr[*store.UnavailableError](t, err)
			if msg := down.Error(); !strings.Contains(msg, at) || strings.Contains(msg, "\n") {
				t.Errorf("%s: got error %q", c.what, msg)
			} else if !strings.Contains(msg, c.says) {
				return fmt.Errorf("got error %w, want %q", down, c.says)
			}
			return nil
		})
	}
}
