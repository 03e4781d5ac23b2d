package rke2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// issue creates a CA certificate, signed by parent or self-signed.
func issue(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate,
	*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if parent == nil {
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestCAHashIsOfThePEMOrTheRoot(t *testing.T) {
	root, key, rootPEM := issue(t, "root", nil, nil)
	_, _, middlePEM := issue(t, "middle", root, key)
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"one":        {rootPEM, hexSum(rootPEM)},
		"a chain":    {append(append([]byte{}, middlePEM...), rootPEM...), hexSum(root.Raw)},
		"none":       {nil, ""},
		"not a cert": {[]byte("starting"), ""},
	} {
		got, err := hashCA(tt.text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func credentialLines(kv ...string) string {
	var b strings.Builder
	for i := 0; i < len(kv); i += 2 {
		b.WriteString(kv[i] + " " + base64.StdEncoding.EncodeToString([]byte(kv[i+1])) + "\n")
	}
	return b.String()
}

func TestTokensAreReturnedInFullForm(t *testing.T) {
	_, _, ca := issue(t, "root", nil, nil)
	full := "K10" + hash + "::node:x"
	c, err := parseCredentials(credentialLines("server-token", "K10"+hash+"::server:s\n", "agent-token", full+"\n",
		"kubeconfig", "k", "cacerts", string(ca)))
	if err != nil || c.AgentToken != full || c.ServerToken != "K10"+hash+"::server:s" || string(c.Kubeconfig) != "k" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = parseCredentials(credentialLines("server-token", "s", "agent-token", "a\n", "kubeconfig", "k", "cacerts",
		string(ca)))
	if err != nil || c.AgentToken != "K10"+hexSum(ca)+"::node:a" || c.ServerToken != "K10"+hexSum(ca)+"::server:s" {
		t.Errorf("short forms: got %+v, %v", c, err)
	}
}

func TestIncompleteCredentialsAreAnError(t *testing.T) {
	for name, out := range map[string]string{
		"no kubeconfig": credentialLines("server-token", "K10"+hash+"::server:s", "agent-token",
			"K10"+hash+"::node:x", "kubeconfig", ""),
		"no agent token":            credentialLines("server-token", "K10"+hash+"::server:s", "kubeconfig", "k"),
		"short tokens without a CA": credentialLines("server-token", "s", "agent-token", "a", "kubeconfig", "k"),
		"server token as agent token": credentialLines("server-token", "K10"+hash+"::server:s", "agent-token",
			"K10"+hash+"::server:s", "kubeconfig", "k"),
		"invalid base64": "agent-token !!!\n",
	} {
		if c, err := parseCredentials(out); err == nil {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}
