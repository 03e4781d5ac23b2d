// Package team prepares what several people share: certificates for the servers of docker-compose.yml and for each
// member, Temporal's namespace, and the question whether a worker is alive.
package team

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// Files of every service's directory.
const (
	caFile, certFile, keyFile = "ca.crt", "tls.crt", "tls.key"

	secretsKeyFile = "secrets.key" // of the worker, and of every member
	passwordFile   = "password"    // of Postgres
	authorityDir   = "ca"
	workerDir      = "worker"
)

// service is one that has a directory of its own, so that none can read another's key.
type service struct {
	name string // the directory; services of docker-compose.yml know it by this name as well
	uid  int    // the user its image runs as
	leaf pki.Leaf
}

// services of docker-compose.yml. Postgres knows Temporal by its certificate: the subject is the database's user.
var services = []service{
	{"postgres", 999, pki.Leaf{Subject: "postgres", Server: true}},
	{"temporal", 1000, pki.Leaf{Subject: "temporal", Server: true, Client: true}},
	{"etcd", 0, pki.Leaf{Subject: "etcd", Server: true, Client: true}}, // asks itself whether it is well
	{"ui", 1000, pki.Leaf{Subject: "skyctl-ui", Client: true}},
	{workerDir, 65532, pki.Leaf{Subject: "skyd", Client: true}},
}

// Certificates says what to make, and where.
type Certificates struct {
	Dir   string   // holds a directory for the authority and for each service
	Hosts []string // further names and addresses by which people reach Temporal and etcd
	// GiveAway makes each directory belong to the user that its service's image runs as, which takes root.
	GiveAway bool
	Now      time.Time
}

// Ensure makes what is missing or near its end, leaves the rest, and tells the names of the services whose certificate
// is new. It may be called again at any time; a directory that was cut short is completed.
func (c Certificates) Ensure() (renewed []string, err error) {
	if err := os.MkdirAll(filepath.Join(c.Dir, authorityDir), 0o700); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	ca, err := pki.EnsureAuthority(c.authorityPair(), "skyctl team", c.Now)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		made, err := c.ensureService(ca, s)
		if err != nil {
			return renewed, fmt.Errorf("making the certificates of %s: %w", s.name, err)
		}
		if made {
			renewed = append(renewed, s.name)
		}
	}
	return renewed, nil
}

func (c Certificates) authorityPair() pki.Pair {
	return pki.Pair{Cert: filepath.Join(c.Dir, authorityDir, caFile), Key: filepath.Join(c.Dir, authorityDir, "ca.key")}
}

func (c Certificates) ensureService(ca *pki.Authority, s service) (bool, error) {
	dir := filepath.Join(c.Dir, s.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	leaf := s.leaf
	if leaf.Server {
		leaf.Hosts = uniqueHosts(append([]string{s.name, "localhost", "127.0.0.1", "::1"}, c.Hosts...))
	}
	made, err := ca.EnsureCertificate(pki.Pair{Cert: filepath.Join(dir, certFile), Key: filepath.Join(dir, keyFile)},
		leaf, c.Now)
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, caFile), ca.CertificatePEM())
	}
	if err != nil {
		return made, err
	}
	switch s.name {
	case workerDir:
		_, err = secretbox.LoadOrCreateKey(filepath.Join(dir, secretsKeyFile))
	case "postgres":
		err = ensurePassword(filepath.Join(dir, passwordFile))
	}
	if err == nil {
		err = os.Chmod(dir, 0o700)
	}
	if err == nil && c.GiveAway {
		err = changeOwner(dir, s.uid)
	}
	return made, err
}

// ensurePassword makes the password that Postgres's image asks for. Nobody needs to know it: people of the network are
// known by their certificate.
func ensurePassword(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	return atomicfile.Write(name, []byte(hex.EncodeToString(secret)))
}

// changeOwner works from the inside out: a directory that belongs to somebody else may be closed to root itself, where
// root is short of capabilities.
func changeOwner(dir string, uid int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Lchown(filepath.Join(dir, e.Name()), uid, uid); err != nil {
			return err
		}
	}
	return os.Lchown(dir, uid, uid)
}

func uniqueHosts(hosts []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, h := range hosts {
		if h != "" && !seen[h] {
			seen[h] = true
			kept = append(kept, h)
		}
	}
	return kept
}
