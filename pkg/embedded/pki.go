package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 2 * 365 * 24 * time.Hour

	// clockSkew is how far behind this machine's clock another one may be.
	clockSkew = 5 * time.Minute
)

// Subjects of the certificates. Temporal grants by them: the UI may only read.
const (
	subjectServer = "skyd"
	subjectClient = "skyctl"
	subjectUI     = "skyctl-ui"
)

// leaves are the certificates that the CA signs. The server's is a client's as well: Temporal's services call each other
// with it.
var leaves = []struct {
	file, subject string
	usage         []x509.ExtKeyUsage
}{
	{"server", subjectServer, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
	{"client", subjectClient, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	{"ui", subjectUI, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
}

// ensurePKI makes what certificates are missing, unreadable, signed by another CA or past two thirds of their life. Every
// certificate is signed anew with a new CA. The caller holds the lock of the state directory.
func ensurePKI(c *config.Config, now time.Time) error {
	if err := config.MakeDir(c.PKIDir()); err != nil {
		return err
	}
	if err := os.Chmod(c.PKIDir(), 0o700); err != nil {
		return fmt.Errorf("keeping the certificates to this person: %w", err)
	}
	ca, err := loadPair(c, "ca")
	if err != nil || !fresh(ca.Leaf, now) {
		if ca, err = issue(c, "ca", caTemplate(now), nil, now.Add(caLife)); err != nil {
			return err
		}
	}
	for _, l := range leaves {
		if have, err := loadPair(c, l.file); err == nil && fresh(have.Leaf, now) && have.Leaf.CheckSignatureFrom(ca.Leaf) == nil {
			continue
		}
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: l.subject},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: l.usage,
		}
		if l.file == "server" {
			template.DNSNames = []string{"localhost"}
			template.IPAddresses = []net.IP{net.ParseIP(config.Loopback), net.IPv6loopback}
		}
		if _, err := issue(c, l.file, template, ca, now.Add(leafLife)); err != nil {
			return err
		}
	}
	return nil
}

func caTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		// Each CA has a name of its own, so that a chain is never tried against the predecessor's key.
		Subject:               pkix.Name{CommonName: "skyctl " + now.UTC().Format("2006-01-02 15:04:05")},
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
}

func fresh(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotBefore) && now.Before(cert.NotAfter.Add(-life/3))
}

func loadPair(c *config.Config, name string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.PKIFile(name+".crt"), c.PKIFile(name+".key"))
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// issue writes name.key and name.crt. A nil signer signs the certificate with its own key.
func issue(c *config.Config, name string, template *x509.Certificate, signer *tls.Certificate, until time.Time) (*tls.Certificate, error) {
	fail := func(err error) (*tls.Certificate, error) {
		return nil, fmt.Errorf("making the certificate %s: %w", c.PKIFile(name+".crt"), err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return fail(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-clockSkew), until
	parent, signKey := template, any(key)
	if signer != nil {
		parent, signKey = signer.Leaf, signer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signKey)
	if err != nil {
		return fail(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	// Killed in between, key and certificate don't match: loadPair fails and both are made again.
	err = errors.Join(
		writeFile(c.PKIFile(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
		writeFile(c.PKIFile(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err != nil {
		return fail(err)
	}
	return loadPair(c, name)
}

// writeFile puts a file in place whole or not at all, readable by this person alone, and on the disk before it returns.
func writeFile(name string, data []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
