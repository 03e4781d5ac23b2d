package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"
)

func TestAuthorityIsKeptAndVerifiesItsCertificates(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreateCA(dir, "server-ca", "test-ca")
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateCA(dir, "server-ca", "test-ca")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.PEM, again.PEM) {
		t.Fatal("the authority changed with the second start")
	}
	base := filepath.Join(dir, "leaf")
	if err := again.IssueTo(base, Leaf{CommonName: "head", Hosts: []string{"head.example", "10.0.0.1"},
		Server: true}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for host, good := range map[string]bool{"head.example": true, "10.0.0.1": true, "10.0.0.2": false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: first.CertPool(), DNSName: host})
		if (err == nil) != good {
			t.Errorf("host %s: %v", host, err)
		}
	}
}

func TestRequestIsSignedForTheNameThatTheServerChooses(t *testing.T) {
	ca, err := LoadOrCreateCA(t.TempDir(), "ca", "test-ca")
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, requestPEM, err := NewSigningRequest("what-the-node-says")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(requestPEM)
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, err := ca.Sign(Leaf{CommonName: "system:node:n1", Client: true}, request.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Subject.CommonName != "system:node:n1" {
		t.Errorf("signed for %q", leaf.Subject.CommonName)
	}
}
