// Package team sets up what a team shares: certificates for the servers of docker-compose.yml and for each member,
// Temporal's namespace, and the health check of the worker.
package team

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// Files of every service's directory.
const (
	caFile, certFile, keyFile = "ca.crt", "tls.crt", "tls.key"

	secretsKeyFile = "secrets.key" // of the worker and of every member
	passwordFile   = "password"    // of Postgres
	authorityDir   = "ca"
	workerDir      = "worker"
)

// ownHosts are the names and addresses of every server to programs on its own computer.
var ownHosts = []string{"localhost", "127.0.0.1", "::1"}

// service is a service with its own directory, so that it cannot read another service's key.
type service struct {
	name string // of its directory, and in docker-compose.yml
	uid  int    // the user its image runs as
	leaf pki.Leaf
}

// services of docker-compose.yml. Postgres authenticates Temporal by certificate: the subject is the database user. The
// worker is a server of its gateway only.
var services = []service{
	{"postgres", 999, pki.Leaf{Subject: "postgres", Server: true}},
	{"temporal", 1000, pki.Leaf{Subject: "temporal", Server: true, Client: true}},
	{"etcd", 0, pki.Leaf{Subject: "etcd", Server: true, Client: true}}, // its health check is its own client
	{"ui", 1000, pki.Leaf{Subject: "skyctl-ui", Client: true}},
	{workerDir, 65532, pki.Leaf{Subject: "skyd", Server: true, Client: true}},
}

// Certificates says which certificates to create, and where.
type Certificates struct {
	Dir   string   // holds a directory for the authority and for each service
	Hosts []string // further names and addresses by which people reach Temporal, etcd and the worker
	// GiveAway makes the user of each service's image the owner of its directory, which needs root.
	GiveAway bool
	Now      time.Time
}

// Ensure creates the certificates that are missing or expire soon, and returns the names of the services whose
// certificate is new. It can be called again at any time, and completes an interrupted call.
func (c Certificates) Ensure() (renewed []string, err error) {
	if err := os.MkdirAll(filepath.Join(c.Dir, authorityDir), 0o700); err != nil {
		return nil, fmt.Errorf("creating certificates: %w", err)
	}
	ca, err := pki.EnsureAuthority(c.authorityPair(), "skyctl team", c.Now)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		created, err := c.ensureService(ca, s)
		if err != nil {
			return renewed, fmt.Errorf("creating the certificates of %s: %w", s.name, err)
		}
		if created {
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
		leaf.Hosts = uniqueHosts(slices.Concat([]string{s.name}, ownHosts, c.Hosts))
	}
	created, err := ca.EnsureCertificate(pki.Pair{Cert: filepath.Join(dir, certFile), Key: filepath.Join(dir, keyFile)},
		leaf, c.Now)
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, caFile), ca.CertificatePEM())
	}
	if err != nil {
		return created, err
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
	return created, err
}

// ensurePassword creates the password that Postgres's image requires. No user needs it: connections from the network
// authenticate by certificate.
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

// changeOwner changes the files before their directory: root without some capabilities cannot enter a directory of
// another user.
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
