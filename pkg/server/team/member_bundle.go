package team

import (
	"archive/tar"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Member is somebody who is to use the team's etcd and Temporal.
type Member struct {
	Name         string
	Dir          string // as in Certificates
	Host         string // by which the member's machine reaches the servers
	TemporalPort int
	EtcdPort     int
	Namespace    string
	UI           string // shown to the member; may be empty
	Life         time.Duration
	Now          time.Time
}

var memberNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)

// WriteBundle writes what the member unpacks in ~/.skyconf, as a tar archive: settings, a certificate in the member's
// name, and the key that the clusters' secrets are encrypted with. It is a secret from end to end, and kept nowhere
// here.
func (m Member) WriteBundle(w io.Writer) error {
	if !memberNamePattern.MatchString(m.Name) {
		return fmt.Errorf("the member's name is %q: it should be letters, digits, dots, dashes, at most 63", m.Name)
	}
	ca, err := pki.LoadAuthority(Certificates{Dir: m.Dir}.authorityPair(), m.Now)
	if err != nil {
		return fmt.Errorf("%w: run skyd team certificates first", err)
	}
	cert, key, err := ca.IssueCertificate(pki.Leaf{Subject: m.Name, Client: true, Life: m.Life}, m.Now)
	if err != nil {
		return err
	}
	secretsKey, err := regularfile.Read(filepath.Join(m.Dir, workerDir, secretsKeyFile), regularfile.SmallFile)
	if err != nil {
		return fmt.Errorf("reading the secrets key: %w", err)
	}
	settings, err := m.renderSettings()
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"config.yaml", settings},
		{"team/" + caFile, ca.CertificatePEM()},
		{"team/" + certFile, cert},
		{"team/" + keyFile, key},
		{"team/" + secretsKeyFile, secretsKey},
	} {
		h := &tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: m.Now, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("writing the bundle of %s: %w", m.Name, err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return fmt.Errorf("writing the bundle of %s: %w", m.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("writing the bundle of %s: %w", m.Name, err)
	}
	return nil
}

// renderSettings are those of config.yaml; its paths count from where it lies.
func (m Member) renderSettings() ([]byte, error) {
	tls := map[string]string{"ca": "team/" + caFile, "cert": "team/" + certFile, "key": "team/" + keyFile}
	tree := map[string]any{
		"etcd": map[string]any{
			"endpoints": "https://" + net.JoinHostPort(m.Host, strconv.Itoa(m.EtcdPort)),
			"tls":       tls,
		},
		"temporal": map[string]any{
			"address":   net.JoinHostPort(m.Host, strconv.Itoa(m.TemporalPort)),
			"namespace": m.Namespace,
			"tls":       tls,
		},
		"secretsKeyFile": "team/" + secretsKeyFile,
	}
	if m.UI != "" {
		tree["ui"] = map[string]any{"address": m.UI}
	}
	data, err := yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("writing the settings of %s: %w", m.Name, err)
	}
	return append([]byte("# "+m.Name+"'s way to the team's etcd and Temporal, made by skyd team member\n"), data...),
		nil
}

// DefaultMember has the ports and names that docker-compose.yml has.
func DefaultMember() Member {
	return Member{
		Host: "localhost", TemporalPort: config.DefaultTemporalPort, EtcdPort: config.DefaultEtcdPort,
		Namespace: config.DefaultNamespace, Life: pki.DefaultLifetime,
	}
}
