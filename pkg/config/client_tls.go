package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// TLS names the files that secure a connection, and the name the server's certificate carries where it isn't its
// address.
type TLS struct {
	CA, Cert, Key, ServerName string
}

// ClientConfig gives the client's side of a connection: nil where nothing is set, which is a connection without TLS.
// Without CA the system's authorities are trusted. The client certificate is read anew for each connection, so that a
// renewed one is taken up without a restart.
func (t TLS) ClientConfig() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := regularfile.Read(t.CA, regularfile.SmallFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA certificate: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA certificate: %s holds no certificate in PEM form", t.CA)
		}
	}
	if t.Cert == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := pki.Pair{Cert: t.Cert, Key: t.Key}.Load()
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate %s and its key %s: %w", t.Cert, t.Key, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil { // a missing file is told now and by name, not as a failed handshake
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}
