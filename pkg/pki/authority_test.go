package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var start = time.Now().Truncate(time.Second)

func authority(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := EnsureAuthority(pair(dir, "ca"), "test", start)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pair(dir, name string) Pair {
	return Pair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
}

func serverLeaf() Leaf {
	return Leaf{Subject: "etcd", Server: true, Client: true, Hosts: []string{"etcd", "localhost", "127.0.0.1"}}
}

func TestCertificateIsRenewedOnChange(t *testing.T) {
	for name, c := range map[string]struct {
		leaf    func(*Leaf)
		after   time.Duration
		spoil   func(t *testing.T, dir string)
		renewed bool
	}{
		"no change":                  {},
		"order of hosts":             {leaf: func(l *Leaf) { l.Hosts = []string{"127.0.0.1", "localhost", "etcd"} }},
		"half of its life":           {after: DefaultLifetime / 2},
		"three quarters of its life": {after: DefaultLifetime * 3 / 4, renewed: true},
		"another host":               {leaf: func(l *Leaf) { l.Hosts = append(l.Hosts, "10.0.0.5") }, renewed: true},
		"one host less":              {leaf: func(l *Leaf) { l.Hosts = l.Hosts[:2] }, renewed: true},
		"another subject":            {leaf: func(l *Leaf) { l.Subject = "temporal" }, renewed: true},
		"no client usage":            {leaf: func(l *Leaf) { l.Client = false }, renewed: true},
		"no server usage":            {leaf: func(l *Leaf) { l.Server = false }, renewed: true},
		"another authority": {spoil: func(t *testing.T, dir string) {
			remove(t, dir, "ca.crt")
			remove(t, dir, "ca.key")
		}, renewed: true},
		"a missing key": {spoil: func(t *testing.T, dir string) { remove(t, dir, "leaf.key") }, renewed: true},
		"an empty file": {spoil: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "leaf.crt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, renewed: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, leaf := t.TempDir(), serverLeaf()
			if made, err := authority(t, dir).EnsureCertificate(pair(dir, "leaf"), leaf, start); err != nil || !made {
				t.Fatalf("first call: created %v, %v", made, err)
			}
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			if c.leaf != nil {
				c.leaf(&leaf)
			}
			made, err := authority(t, dir).EnsureCertificate(pair(dir, "leaf"), leaf, start.Add(c.after))
			if err != nil || made != c.renewed {
				t.Errorf("second call: created %v, %v; want %v", made, err, c.renewed)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestServerAcceptsOnlyClientsOfItsAuthority(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	ours, theirs := authority(t, dir), authority(t, other)
	server := issue(t, ours, serverLeaf())
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ours.CertificatePEM())
	for name, c := range map[string]struct {
		cert *tls.Certificate
		ok   bool
	}{
		"ours":         {issue(t, ours, Leaf{Subject: "ann", Client: true}), true},
		"theirs":       {issue(t, theirs, Leaf{Subject: "ann", Client: true}), false},
		"not a client": {issue(t, ours, Leaf{Subject: "ann", Server: true}), false},
		"none":         {&tls.Certificate{}, false},
		"expired": {issueAt(t, ours, Leaf{Subject: "ann", Client: true, Life: time.Hour},
			start.Add(-48*time.Hour)), false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			srv := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*server},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
			cli := tls.Client(b, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return c.cert, nil
				}})
			go func() {
				_ = cli.Handshake()
				_, _ = cli.Read(make([]byte, 1))
			}()
			err := srv.HandshakeContext(t.Context())
			_, _ = a.Close(), b.Close()
			if (err == nil) != c.ok {
				t.Errorf("handshake: %v, want success %v", err, c.ok)
			}
		})
	}
}

func issue(t *testing.T, a *Authority, l Leaf) *tls.Certificate { return issueAt(t, a, l, start) }

func issueAt(t *testing.T, a *Authority, l Leaf, now time.Time) *tls.Certificate {
	t.Helper()
	cert, key, err := a.IssueCertificate(l, now)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestAuthorityIsNeverReplacedAutomatically(t *testing.T) {
	dir := t.TempDir()
	first := authority(t, dir)
	if string(authority(t, dir).CertificatePEM()) != string(first.CertificatePEM()) {
		t.Error("the second call created another authority")
	}
	if _, err := EnsureAuthority(pair(dir, "ca"), "test", start.Add(authorityLifetime+time.Hour)); err == nil ||
		!strings.Contains(err.Error(), "expired on") {
		t.Errorf("expired authority: %v", err)
	}
	remove(t, dir, "ca.key")
	if _, err := EnsureAuthority(pair(dir, "ca"), "test", start); err == nil {
		t.Error("an authority without its key was replaced or accepted")
	}
}

func TestCertificateExpiresWithItsAuthority(t *testing.T) {
	a := authority(t, t.TempDir())
	cert := issueAt(t, a, serverLeaf(), start.Add(authorityLifetime-time.Hour))
	if cert.Leaf.NotAfter.After(a.NotAfter()) {
		t.Errorf("valid until %v, its authority until %v", cert.Leaf.NotAfter, a.NotAfter())
	}
}

func TestKeysAreReadableByOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := authority(t, dir).EnsureCertificate(pair(dir, "leaf"), serverLeaf(), start); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 {
		t.Errorf("%d files, want 4", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}
