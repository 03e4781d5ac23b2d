package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// TLS names the files that secure a connection. ServerName is the name on the server's certificate, if it differs from
// the server's address.
type TLS struct {
	CA, Cert, Key, ServerName string
}

// ClientConfig returns the TLS configuration of a client. It is nil if nothing is set, for a connection without TLS.
// Without CA the client trusts the system's authorities. The client certificate is read for each connection, so a
// renewed certificate needs no restart.
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
			return nil, fmt.Errorf("reading the CA certificate: %s contains no PEM certificate", t.CA)
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
	if _, err := load(); err != nil { // report a missing file now, not as a failed handshake
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return c, nil
}
