package team

import (
	"archive/tar"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Member is a person who uses the team's etcd and Temporal.
type Member struct {
	Name         string
	Dir          string // as in Certificates
	Host         string // under which the member's computer reaches the servers
	TemporalPort int
	EtcdPort     int
	Namespace    string
	UI           string // shown to the member; may be empty
	// Gateway is the host:port of a worker through which the member reaches machines; empty: directly.
	Gateway string
	// GatewayHosts are names and addresses by which members reach the gateway of the worker that has this bundle. They
	// make its certificate one of a server too.
	GatewayHosts []string
	Life         time.Duration
	Now          time.Time
}

var memberNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)

// WriteBundle writes what the member unpacks in ~/.skyconf, as a tar archive: settings, a certificate in the member's
// name, and the key that the clusters' secrets are encrypted with. The archive is secret, and no copy of it is kept.
func (m Member) WriteBundle(w io.Writer) error {
	if !memberNamePattern.MatchString(m.Name) {
		return fmt.Errorf("invalid member name %q: use at most 63 letters, digits, dots and dashes", m.Name)
	}
	if m.Gateway != "" {
		if err := config.CheckGatewayAddress(m.Gateway); err != nil {
			return fmt.Errorf("the gateway is %q, want %w", m.Gateway, err)
		}
	}
	for _, h := range m.GatewayHosts {
		if net.ParseIP(h) == nil && (h == "" || strings.ContainsAny(h, ":/ ")) {
			return fmt.Errorf("the host of the gateway is %q, want a name or an address without a port, such as "+
				"skyctl.example.com", h)
		}
	}
	ca, err := pki.LoadAuthority(Certificates{Dir: m.Dir}.authorityPair(), m.Now)
	if err != nil {
		return fmt.Errorf("%w: run skyd team certificates first", err)
	}
	leaf := pki.Leaf{Subject: m.Name, Client: true, Life: m.Life}
	if len(m.GatewayHosts) > 0 {
		leaf.Server, leaf.Hosts = true, uniqueHosts(slices.Concat(ownHosts, m.GatewayHosts))
	}
	cert, key, err := ca.IssueCertificate(leaf, m.Now)
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

// renderSettings returns the member's config.yaml. Its paths are relative to its directory.
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
	if m.Gateway != "" {
		tree["gateway"] = map[string]any{"address": m.Gateway}
	}
	data, err := yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("writing the settings of %s: %w", m.Name, err)
	}
	header := "# " + m.Name + "'s connection to the team's etcd and Temporal, written by skyd team member\n"
	return append([]byte(header), data...), nil
}

// DefaultMember has the ports and names of docker-compose.yml.
func DefaultMember() Member {
	return Member{
		Host: "localhost", TemporalPort: config.DefaultTemporalPort, EtcdPort: config.DefaultEtcdPort,
		Namespace: config.DefaultNamespace, Life: pki.DefaultLifetime,
	}
}
