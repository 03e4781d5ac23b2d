package embedded

import (
	"fmt"
	"os"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/pki"
)

const leafLifetime = 2 * 365 * 24 * time.Hour

// Subjects of the certificates. Temporal authorizes by them: the UI can only read.
const (
	subjectServer = "skyd"
	subjectClient = "skyctl"
	subjectUI     = "skyctl-ui"
)

// leafCertificates are the certificates that the CA signs, by the name of their files. The server certificate is also a
// client certificate: Temporal's services call each other with it.
var leafCertificates = []struct {
	file string
	leaf pki.Leaf
}{
	{"server", pki.Leaf{Subject: subjectServer, Server: true, Client: true, Life: leafLifetime,
		Hosts: []string{"localhost", config.Loopback, "::1"}}},
	{"client", pki.Leaf{Subject: subjectClient, Client: true, Life: leafLifetime}},
	{"ui", pki.Leaf{Subject: subjectUI, Client: true, Life: leafLifetime}},
}

// ensureCertificates creates the certificates that are missing, unreadable, signed by another CA or past two thirds of
// their lifetime. A new CA replaces every certificate. The caller holds the lock of the state directory.
func ensureCertificates(c *config.Config, now time.Time) error {
	if err := config.MakeDir(c.PKIDir()); err != nil {
		return err
	}
	if err := os.Chmod(c.PKIDir(), 0o700); err != nil {
		return fmt.Errorf("restricting the certificates to this user: %w", err)
	}
	ca, err := pki.RenewAuthority(certificatePair(c, "ca"), "skyctl", now)
	if err != nil {
		return err
	}
	for _, l := range leafCertificates {
		if _, err := ca.EnsureCertificate(certificatePair(c, l.file), l.leaf, now); err != nil {
			return fmt.Errorf("creating the certificate %s: %w", c.PKIFile(l.file+".crt"), err)
		}
	}
	return nil
}

func certificatePair(c *config.Config, name string) pki.Pair {
	return pki.Pair{Cert: c.PKIFile(name + ".crt"), Key: c.PKIFile(name + ".key")}
}
