package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
)

func TestStoredDataOutlivesAStop(t *testing.T) {
	c := testConfig(t, t.TempDir())
	s := startStack(t, c)
	if _, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Put(contextWithin(t, time.Minute), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	startStack(t, c)
	got, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Get(contextWithin(t, time.Minute), "k")
	if err != nil || len(got.Kvs) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestUnexpectedStopOfAServerIsReported(t *testing.T) {
	s := startStack(t, testConfig(t, t.TempDir()))
	s.etcd.Server.HardStop()
	select {
	case <-s.Done():
		if s.Err() == nil || !strings.Contains(s.Err().Error(), "etcd") {
			t.Errorf("the reason is %v", s.Err())
		}
	case <-contextWithin(t, time.Minute).Done():
		t.Error("the stop of etcd was not reported")
	}
}

func TestInterruptedCreationIsRestarted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
	}{
		{"before the mark was written", []string{".unfinished-1234"}},
		{"before any data", []string{"unfinished"}},
		{"before the database was complete", []string{"unfinished", "temporal.db"}},
		{"before etcd was complete", []string{"unfinished", "temporal.db", "version.json", "etcd/member/wal/0.tmp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t, t.TempDir())
			for _, f := range tt.files {
				name := filepath.Join(c.ServerDir(), f)
				if err := config.MakeDir(filepath.Dir(name)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(d.etcdDir()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("etcd's incomplete directory still exists (%v)", err)
			}
			if data, err := os.ReadFile(d.databasePath()); err != nil ||
				!strings.HasPrefix(string(data), "SQLite format 3") {
				t.Errorf("the database is not valid: %.20q, %v", data, err)
			}
		})
	}
}

func TestCertificatesAreRenewedOnlyWhenNeeded(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name    string
		disturb func(*testing.T, *config.Config)
		at      time.Time
		renewed string
	}{
		{"all valid", nil, now, ""},
		{"certificates that expire soon", nil, now.Add(leafLifetime * 5 / 6), "server client ui"},
		{"CA that expires soon", nil, now.Add(10 * 365 * 24 * time.Hour * 5 / 6), "ca server client ui"},
		{"a key lost", func(t *testing.T, c *config.Config) { removeFile(t, c.PKIFile("ui.key")) }, now, "ui"},
		{"the CA lost", func(t *testing.T, c *config.Config) {
			removeFile(t, c.PKIFile("ca.crt"))
		}, now, "ca server client ui"},
		{"killed between key and certificate", func(t *testing.T, c *config.Config) {
			copyFile(t, c.PKIFile("ui.key"), c.PKIFile("client.key"))
		}, now, "client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t, t.TempDir())
			if err := ensureCertificates(c, now); err != nil {
				t.Fatal(err)
			}
			before := certificateSerials(t, c)
			if tt.disturb != nil {
				tt.disturb(t, c)
			}
			if err := ensureCertificates(c, tt.at); err != nil {
				t.Fatal(err)
			}
			var renewed []string
			after := certificateSerials(t, c)
			for _, name := range []string{"ca", "server", "client", "ui"} {
				if before[name] != after[name] {
					renewed = append(renewed, name)
				}
			}
			if got := strings.Join(renewed, " "); got != tt.renewed {
				t.Errorf("renewed %q, want %q", got, tt.renewed)
			}
			verifyAll(t, c, tt.at)
		})
	}
}

func removeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func loadCertificate(c *config.Config, name string) (tls.Certificate, error) {
	p := certificatePair(c, name)
	return tls.LoadX509KeyPair(p.Cert, p.Key)
}

func certificateSerials(t *testing.T, c *config.Config) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"ca", "server", "client", "ui"} {
		pair, err := loadCertificate(c, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = pair.Leaf.SerialNumber.String()
	}
	return all
}

func verifyAll(t *testing.T, c *config.Config, at time.Time) {
	t.Helper()
	ca, err := loadCertificate(c, "ca")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	for _, l := range leafCertificates {
		pair, err := loadCertificate(c, l.file)
		if err != nil {
			t.Fatal(err)
		}
		var usages []x509.ExtKeyUsage
		if l.leaf.Server {
			usages = append(usages, x509.ExtKeyUsageServerAuth)
		}
		if l.leaf.Client {
			usages = append(usages, x509.ExtKeyUsageClientAuth)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at,
			KeyUsages: usages}); err != nil {
			t.Errorf("%s: %v", l.file, err)
		}
	}
}
