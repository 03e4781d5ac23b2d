// Package pki creates certificate authorities and the certificates that they sign, and stores them in files.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour

	// DefaultLifetime is the default validity of a certificate.
	DefaultLifetime = 365 * 24 * time.Hour

	// clockSkew is how far the clock of another machine can be behind.
	clockSkew = 5 * time.Minute
)

// Pair is the file names of a certificate and its key.
type Pair struct{ Cert, Key string }

// Load reads the certificate and its key.
func (p Pair) Load() (tls.Certificate, error) {
	cert, err := regularfile.Read(p.Cert, regularfile.SmallFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := regularfile.Read(p.Key, regularfile.SmallFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// Leaf describes a certificate to issue.
type Leaf struct {
	Subject        string // the common name
	Server, Client bool
	Hosts          []string      // names and addresses of a server
	Life           time.Duration // 0 is DefaultLifetime; never longer than the authority's
}

// Authority signs certificates.
type Authority struct {
	pair tls.Certificate
	pem  []byte
}

// EnsureAuthority loads an authority from two files, and creates it if neither exists. It never replaces an authority,
// because every certificate that it signed would become invalid.
func EnsureAuthority(p Pair, name string, now time.Time) (*Authority, error) {
	if isMissing(p.Cert) && isMissing(p.Key) {
		if err := createAuthority(p, name, now); err != nil {
			return nil, fmt.Errorf("creating the authority %s: %w", p.Cert, err)
		}
	}
	return LoadAuthority(p, now)
}

// RenewAuthority is like EnsureAuthority, but also replaces an authority that is unreadable or past two thirds of its
// life. Use it only if all certificates can be reissued at once and no clients are elsewhere.
func RenewAuthority(p Pair, name string, now time.Time) (*Authority, error) {
	if a, err := LoadAuthority(p, now); err == nil && isFresh(a.pair.Leaf, now) {
		return a, nil
	}
	if err := createAuthority(p, name, now); err != nil {
		return nil, fmt.Errorf("creating the authority %s: %w", p.Cert, err)
	}
	return LoadAuthority(p, now)
}

// LoadAuthority loads an authority from two files. A missing or expired authority is an error.
func LoadAuthority(p Pair, now time.Time) (*Authority, error) {
	pair, err := p.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the authority %s and its key: %w", p.Cert, err)
	}
	switch {
	case !pair.Leaf.IsCA:
		return nil, fmt.Errorf("%s is not a CA certificate", p.Cert)
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("the authority %s expired on %s: move it away so that a new one is created, then issue "+
			"new certificates to all members",
			p.Cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &Authority{pair: pair, pem: encodePEM("CERTIFICATE", pair.Leaf.Raw)}, nil
}

// CertificatePEM is the authority's certificate.
func (a *Authority) CertificatePEM() []byte { return slices.Clone(a.pem) }

// NotAfter is when the authority expires, and with it every certificate that it signed.
func (a *Authority) NotAfter() time.Time { return a.pair.Leaf.NotAfter }

// IssueCertificate signs a new certificate and returns it and its key in PEM format.
func (a *Authority) IssueCertificate(l Leaf, now time.Time) (certPEM, keyPEM []byte, err error) {
	if l.Life == 0 {
		l.Life = DefaultLifetime
	}
	until := now.Add(l.Life)
	if until.After(a.NotAfter()) {
		until = a.NotAfter()
	}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: l.Subject}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotAfter: until}
	if l.Server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if l.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, h := range l.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	certPEM, keyPEM, err = signCertificate(t, a.pair.Leaf, a.pair.PrivateKey, now)
	if err != nil {
		return nil, nil, fmt.Errorf("creating a certificate for %s: %w", l.Subject, err)
	}
	return certPEM, keyPEM, nil
}

// EnsureCertificate creates a certificate if the existing one is missing, unreadable, signed by another authority, past
// two thirds of its life, or does not match l. It reports whether it created one.
func (a *Authority) EnsureCertificate(p Pair, l Leaf, now time.Time) (bool, error) {
	if have, err := p.Load(); err == nil && a.isUsable(have.Leaf, l, now) {
		return false, nil
	}
	cert, key, err := a.IssueCertificate(l, now)
	if err != nil {
		return false, err
	}
	return true, writePair(p, cert, key)
}

func (a *Authority) isUsable(have *x509.Certificate, want Leaf, now time.Time) bool {
	names := slices.Clone(have.DNSNames)
	for _, ip := range have.IPAddresses {
		names = append(names, ip.String())
	}
	hosts := slices.Clone(want.Hosts)
	slices.Sort(names)
	slices.Sort(hosts)
	return have.CheckSignatureFrom(a.pair.Leaf) == nil && isFresh(have, now) &&
		have.Subject.CommonName == want.Subject &&
		slices.Equal(names, hosts) &&
		slices.Contains(have.ExtKeyUsage, x509.ExtKeyUsageServerAuth) == want.Server &&
		slices.Contains(have.ExtKeyUsage, x509.ExtKeyUsageClientAuth) == want.Client
}

func isFresh(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotBefore) && now.Before(cert.NotAfter.Add(-life/3))
}

func createAuthority(p Pair, name string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		// A unique name prevents clients from checking a chain against the key of a previous authority.
		Subject:               pkix.Name{CommonName: name + " " + now.UTC().Format(time.DateTime)},
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	certPEM, err := createCertificate(t, t, key.Public(), key, now)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	return writePair(p, certPEM, keyPEM)
}

func signCertificate(t, parent *x509.Certificate, parentKey crypto.PrivateKey, now time.Time) (certPEM, keyPEM []byte,
	err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if certPEM, err = createCertificate(t, parent, key.Public(), parentKey, now); err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return certPEM, keyPEM, err
}

func createCertificate(t, parent *x509.Certificate, public crypto.PublicKey, signer crypto.PrivateKey,
	now time.Time) (_ []byte, err error) {
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	t.NotBefore = now.Add(-clockSkew)
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return encodePEM("CERTIFICATE", der), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encodePEM("PRIVATE KEY", der), nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func isMissing(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}
