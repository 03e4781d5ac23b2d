package team

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

var start = time.Now().Truncate(time.Second)

func ensureCertificates(t *testing.T, dir string, after time.Duration, hosts ...string) []string {
	t.Helper()
	renewed, err := Certificates{Dir: dir, Hosts: hosts, Now: start.Add(after)}.Ensure()
	if err != nil {
		t.Fatal(err)
	}
	return renewed
}

func TestCertificatesAreRenewedOnlyWhenNeeded(t *testing.T) {
	dir := t.TempDir()
	all := []string{"postgres", "temporal", "etcd", "ui", "worker"}
	if got := ensureCertificates(t, dir, 0); !slices.Equal(got, all) {
		t.Errorf("first: %v", got)
	}
	if got := ensureCertificates(t, dir, time.Hour); got != nil {
		t.Errorf("an hour later: %v", got)
	}
	servers := []string{"postgres", "temporal", "etcd", "worker"}
	if got := ensureCertificates(t, dir, time.Hour, "skyctl.example.com", "10.0.0.5"); !slices.Equal(got, servers) {
		t.Errorf("with further hosts: %v, want the servers", got)
	}
	if got := ensureCertificates(t, dir, 300*24*time.Hour, "skyctl.example.com", "10.0.0.5"); !slices.Equal(got, all) {
		t.Errorf("300 days later: %v", got)
	}
}

func TestInterruptedSetUpIsCompletedWithTheSameSecrets(t *testing.T) {
	dir := t.TempDir()
	ensureCertificates(t, dir, 0)
	kept := map[string][]byte{}
	for _, name := range []string{"ca/ca.crt", "ca/ca.key", "worker/secrets.key", "postgres/password"} {
		kept[name] = read(t, dir, name)
	}
	for _, name := range []string{"etcd/ca.crt", "etcd/tls.key", "ui/tls.crt"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := ensureCertificates(t, dir, 0); !slices.Equal(got, []string{"etcd", "ui"}) {
		t.Errorf("renewed: %v", got)
	}
	read(t, dir, "etcd/ca.crt")
	for name, data := range kept {
		if !bytes.Equal(read(t, dir, name), data) {
			t.Errorf("%s has changed", name)
		}
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEachDirectoryIsOwnedByItsServicesUser(t *testing.T) {
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		if _, err := (Certificates{Dir: dir, Now: start, GiveAway: true}).Ensure(); err == nil {
			t.Error("a user other than root changed the owner of files")
		}
		return
	}
	dir := t.TempDir()
	for range 2 { // the second time they have their owners already
		if _, err := (Certificates{Dir: dir, Now: start, GiveAway: true}).Ensure(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range services {
		for _, name := range []string{".", caFile, certFile, keyFile} {
			info, err := os.Stat(filepath.Join(dir, s.name, name))
			if err != nil {
				t.Fatal(err)
			}
			if uid := ownerOf(info); uid != s.uid || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s/%s belongs to %d with mode %v", s.name, name, uid, info.Mode())
			}
		}
	}
}

// unpackBundle writes the bundle of a member, and reads its settings.
func unpackBundle(t *testing.T, m Member) *config.Config {
	t.Helper()
	home := t.TempDir()
	var bundle bytes.Buffer
	if err := m.WriteBundle(&bundle); err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(&bundle)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(home, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(nil, func(k string) string { return map[string]string{config.EnvDir: home}[k] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestBundleHasEverythingThatSettingsNeed(t *testing.T) {
	dir := t.TempDir()
	ensureCertificates(t, dir, 0)
	m := DefaultMember()
	m.Name, m.Dir, m.Host, m.UI, m.Now = "ann", dir, "skyctl.example.com", "http://localhost:8233", start
	m.Gateway = "skyctl.example.com:7222"
	cfg := unpackBundle(t, m)
	if cfg.Gateway.Address != m.Gateway {
		t.Errorf("the gateway is %q", cfg.Gateway.Address)
	}
	if cfg.Temporal.Address != "skyctl.example.com:7233" ||
		!slices.Equal(cfg.Etcd.Endpoints, []string{"https://skyctl.example.com:2379"}) || cfg.UI.Address != m.UI {
		t.Errorf("settings: %+v", cfg)
	}
	for _, tls := range []config.TLS{cfg.Etcd.TLS, cfg.Temporal.TLS} {
		if _, err := tls.ClientConfig(); err != nil {
			t.Error(err)
		}
	}
	mine, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := secretbox.LoadOrCreateKey(filepath.Join(dir, "worker", "secrets.key"))
	if err != nil || !bytes.Equal(mine, theirs) {
		t.Errorf("the member's secrets key isn't the worker's (%v)", err)
	}
}

func TestBundleOfAWorkerServesAGateway(t *testing.T) {
	dir := t.TempDir()
	ensureCertificates(t, dir, 0)
	m := DefaultMember()
	m.Name, m.Dir, m.Now = "worker", dir, start
	if _, err := unpackBundle(t, m).GatewayServerTLS(); err == nil {
		t.Error("the certificate of a member serves a gateway")
	}
	m.GatewayHosts = []string{"skyctl.example.com", "10.0.0.5"}
	secured, err := unpackBundle(t, m).GatewayServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := secured.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"skyctl.example.com", "10.0.0.5", "localhost", "127.0.0.1"} {
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	m.Gateway = "https://skyctl.example.com"
	if err := m.WriteBundle(io.Discard); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("an address that is none: %v", err)
	}
	m.Gateway = ""
	for _, host := range []string{"", "skyctl.example.com:7222", "[::1]:7222", "https://skyctl.example.com", "a b"} {
		m.GatewayHosts = []string{"skyctl.example.com", host}
		if err := m.WriteBundle(io.Discard); err == nil || !strings.Contains(err.Error(), "without a port") {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestBundleNeedsANameAndAnAuthority(t *testing.T) {
	m := DefaultMember()
	m.Dir, m.Now = t.TempDir(), start
	for _, name := range []string{"", "../ann", "-ann", "ann\nbob", strings.Repeat("a", 64)} {
		m.Name = name
		if err := m.WriteBundle(io.Discard); err == nil || !strings.Contains(err.Error(), "invalid member name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	m.Name = "ann"
	if err := m.WriteBundle(io.Discard); err == nil || !strings.Contains(err.Error(), "skyd team certificates") {
		t.Errorf("without an authority: %v", err)
	}
}
