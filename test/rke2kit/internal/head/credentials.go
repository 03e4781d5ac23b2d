package head

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// credentials are the two passwords of a cluster and the hash that pins its CA.
type credentials struct {
	caHash       string
	server, node string
}

func (c credentials) serverToken() string {
	return token.Token{CAHash: c.caHash, User: token.ServerUser, Password: c.server}.FormatFull()
}

func (c credentials) agentToken() string {
	return token.Token{CAHash: c.caHash, User: token.NodeUser, Password: c.node}.FormatFull()
}

// leaf is one certificate of the control plane.
type leaf struct {
	name string
	ca   *pki.CA
	pki.Leaf
}

// makeCertificates loads or creates the authorities and recreates all leaves.
func (h *Head) makeCertificates() error {
	cas := map[string]*pki.CA{}
	for name, common := range map[string]string{
		"server-ca": "rke2-server-ca", "client-ca": "rke2-client-ca", "request-header-ca": "rke2-request-header-ca",
		"etcd/server-ca": "etcd-server-ca",
	} {
		ca, err := pki.LoadOrCreateCA(h.serverPath("tls"), name, common)
		if err != nil {
			return err
		}
		cas[name] = ca
	}
	h.opts.serverCA, h.opts.client = cas["server-ca"], cas["client-ca"]
	if err := pki.LoadOrCreateKey(h.tlsPath("service.key")); err != nil {
		return err
	}
	masters := []string{"system:masters"}
	etcdHosts := []string{"localhost", "127.0.0.1"}
	for _, l := range []leaf{
		{"serving-kube-apiserver", h.opts.serverCA,
			pki.Leaf{CommonName: "kube-apiserver", Hosts: h.servingHosts(), Server: true}},
		{"kube-loopback", h.opts.serverCA, pki.Leaf{CommonName: "localhost", Hosts: etcdHosts, Server: true}},
		{"client-admin", h.opts.client, pki.Leaf{CommonName: "system:admin", Organizations: masters, Client: true}},
		{"client-kube-apiserver", h.opts.client,
			pki.Leaf{CommonName: "system:apiserver", Organizations: masters, Client: true}},
		{"client-controller", h.opts.client, pki.Leaf{CommonName: "system:kube-controller-manager", Client: true}},
		{"client-scheduler", h.opts.client, pki.Leaf{CommonName: "system:kube-scheduler", Client: true}},
		{"client-auth-proxy", cas["request-header-ca"], pki.Leaf{CommonName: "system:auth-proxy", Client: true}},
		{"etcd/server", cas["etcd/server-ca"],
			pki.Leaf{CommonName: "etcd-server", Hosts: etcdHosts, Server: true, Client: true}},
		{"etcd/client", cas["etcd/server-ca"], pki.Leaf{CommonName: "etcd-client", Client: true}},
	} {
		if err := l.ca.IssueTo(h.tlsPath(l.name), l.Leaf); err != nil {
			return err
		}
	}
	return nil
}

// servingHosts returns the names of the head in its certificate. It is RKE2's list:
// an address that is in none of these keys is not in the certificate.
func (h *Head) servingHosts() []string {
	hosts := []string{
		"localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + h.opts.Cluster.ClusterDomain, h.opts.serviceAddress,
		h.opts.NodeName, h.opts.NodeIP, h.opts.ExternalIP, h.opts.AdvertiseIP,
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return append(hosts, h.opts.TLSSANs...)
}

// settleCredentials decides on the passwords: those configured, else those of
// an earlier start, else new ones. reconcileBootstrap has compared the server token with the datastore's before.
func (h *Head) settleCredentials() (credentials, error) {
	var creds credentials
	var err error
	if creds.caHash, err = token.HashCA(h.opts.serverCA.PEM); err != nil {
		return creds, err
	}
	if creds.server, err = h.configuredPassword("token", h.opts.Token); err != nil {
		return creds, err
	}
	if creds.node, err = h.configuredPassword("agent-token", h.opts.AgentToken); err != nil {
		return creds, err
	}
	file := h.serverPath("cred", "passwd")
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return creds, fmt.Errorf("read passwords of an earlier start: %w", err)
	}
	earlier := parsePasswords(string(old))
	if creds.server == "" {
		creds.server = earlier[token.ServerUser]
	}
	if creds.server == "" {
		if creds.server, err = h.knownPassword(); err != nil {
			return creds, err
		}
	}
	if creds.server == "" {
		creds.server = token.NewPassword()
	}
	if creds.node == "" {
		creds.node = creds.server
	}
	data := token.ServerUser + ":" + creds.server + "\n" + token.NodeUser + ":" + creds.node + "\n"
	return creds, pki.WriteFile(file, []byte(data), 0o600)
}

// configuredPassword extracts it from a configured token of either form.
func (h *Head) configuredPassword(key, configured string) (string, error) {
	if configured == "" {
		return "", nil
	}
	t, err := token.Parse(configured)
	if err == nil {
		err = t.VerifyCA(h.opts.serverCA.PEM)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return t.Password, nil
}

func parsePasswords(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if user, password, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			out[user] = password
		}
	}
	return out
}

// writeTokenFiles writes token, node-token and agent-token.
func (h *Head) writeTokenFiles() error {
	for name, value := range map[string]string{"token": h.creds.serverToken(), "agent-token": h.creds.agentToken()} {
		if err := pki.WriteFile(h.serverPath(name), []byte(value+"\n"), 0o600); err != nil {
			return err
		}
	}
	link := h.serverPath("node-token")
	if target, err := os.Readlink(link); err == nil && target == h.serverPath("token") {
		return nil
	}
	_ = os.Remove(link)
	if err := os.Symlink(h.serverPath("token"), link); err != nil {
		return fmt.Errorf("link node-token: %w", err)
	}
	return nil
}
