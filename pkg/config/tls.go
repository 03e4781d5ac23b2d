package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

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
		authorities, err := t.readAuthorities()
		if err != nil {
			return nil, err
		}
		c.RootCAs = authorities
	}
	if t.Cert == "" {
		return c, nil
	}
	if _, err := t.loadPair("client"); err != nil { // report a missing file now, not as a failed handshake
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.loadPair("client") }
	return c, nil
}

// serverConfig returns the TLS configuration of a server that admits clients with a certificate of the authority only.
// Its own certificate is read for each connection.
func (t TLS) serverConfig() (*tls.Config, error) {
	authorities, err := t.readAuthorities()
	if err != nil {
		return nil, err
	}
	pair, err := t.loadPair("server")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(pair.Leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return nil, fmt.Errorf("the certificate %s is one of a client only, and a server needs another one: skyd team "+
			"certificates creates it for the worker, and skyd team member with --gateway-host for a worker elsewhere",
			t.Cert)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.loadPair("server") }}, nil
}

func (t TLS) readAuthorities() (*x509.CertPool, error) {
	pem, err := regularfile.Read(t.CA, regularfile.SmallFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the CA certificate: %s contains no PEM certificate", t.CA)
	}
	return pool, nil
}

// loadPair reads the certificate; role is whose it is, for errors.
func (t TLS) loadPair(role string) (*tls.Certificate, error) {
	pair, err := pki.Pair{Cert: t.Cert, Key: t.Key}.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the %s certificate %s and its key %s: %w", role, t.Cert, t.Key, err)
	}
	return &pair, nil
}
