package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/store"
)

// credentialsEndSoon stores a kubeconfig whose certificate is valid for one week.
func credentialsEndSoon(i *installation) {
	before := i.inSync("kept")
	s, ref := i.store(), before.Ref()
	old, err := s.ReadSecret(i.t.Context(), ref, store.SecretKubeconfig)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := s.PutSecret(i.t.Context(), ref, store.SecretKubeconfig, i.weekLong(old)); err != nil {
		i.t.Fatal(err)
	}
	i.repaired(before, api.ActionRefresh, 0)
	now, err := s.ReadSecret(i.t.Context(), ref, store.SecretKubeconfig)
	if err != nil {
		i.t.Fatal(err)
	}
	expire, err := kube.KubeconfigExpiry(now)
	if err != nil || time.Until(expire) < 300*24*time.Hour {
		i.t.Errorf("the kubeconfig expires at %v (%v)", expire, err)
	}
	written, err := os.ReadFile(filepath.Join(i.dir, "clusters", "kept", "kubeconfig"))
	if err != nil || string(written) != string(now) {
		i.t.Errorf("the user's kubeconfig was not updated (%v)", err)
	}
}

// weekLong returns the kubeconfig with a client certificate of the cluster that is valid for one week.
func (i *installation) weekLong(kubeconfig []byte) []byte {
	i.t.Helper()
	dir := i.t.TempDir()
	pair := pki.Pair{Cert: filepath.Join(dir, "ca.crt"), Key: filepath.Join(dir, "ca.key")}
	for from, to := range map[string]string{"client-ca.crt": pair.Cert, "client-ca.key": pair.Key} {
		out, err := i.onHost("sky-kept-0", "cat", "/var/lib/rancher/rke2/server/tls/"+from)
		if err != nil {
			i.t.Fatalf("%v\n%s", err, out)
		}
		if err := os.WriteFile(to, []byte(out), 0o600); err != nil {
			i.t.Fatal(err)
		}
	}
	cert, key := signShort(i.t, pair, 7*24*time.Hour)
	var lines []string
	for line := range strings.SplitSeq(string(kubeconfig), "\n") {
		for name, data := range map[string][]byte{"client-certificate-data: ": cert, "client-key-data: ": key} {
			if at := strings.Index(line, name); at >= 0 {
				line = line[:at] + name + base64.StdEncoding.EncodeToString(data)
			}
		}
		lines = append(lines, line)
	}
	return []byte(strings.Join(lines, "\n"))
}

// signShort creates a short-lived administrator certificate, signed by the given authority.
func signShort(t *testing.T, ca pki.Pair, life time.Duration) (cert, keyPEM []byte) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(life),
		Subject:  pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
