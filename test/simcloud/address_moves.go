package simcloud

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/pki"
)

// servingCert is the certificate of a head's API. Like RKE2's, it covers only the names in the configuration.
type servingCert struct {
	host *host
	ca   *pki.Authority

	mu    sync.Mutex
	names []string
	pair  *tls.Certificate
}

func (s *servingCert) currentCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := append(s.host.configList("tls-san"), "127.0.0.1", outsideAddress)
	if s.pair != nil && slices.Equal(names, s.names) {
		return s.pair, nil
	}
	cert, key, err := s.ca.IssueCertificate(pki.Leaf{Subject: "kube-apiserver", Server: true, Hosts: names}, time.Now())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	s.names, s.pair = names, &pair
	return s.pair, nil
}

// configList is a list in the host's RKE2 configuration.
func (h *host) configList(key string) []string {
	var found []string
	within := false
	for line := range strings.Lines(h.readFile("/etc/rancher/rke2/config.yaml")) {
		switch entry, is := strings.CutPrefix(strings.TrimSpace(line), "- "); {
		case !is:
			within = strings.TrimSpace(line) == key+":"
		case within:
			found = append(found, entry)
		}
	}
	return found
}

// isAtConfiguredAddress reports whether RKE2 is configured for the host's address. It does not start at any other.
func (h *host) isAtConfiguredAddress() bool { return h.configValue("node-ip") == h.address }

// closeListeners closes the ports that RKE2 would listen on, and returns them.
func (h *host) closeListeners() []int {
	var ports []int
	for _, l := range h.listeners {
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
	}
	h.listeners = nil
	return ports
}

// RebootAtNewAddresses restarts machines at other addresses: each gets the address of the next one, and a single
// machine gets a new address.
func (c *Cloud) RebootAtNewAddresses(names ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*machine
	for _, name := range names {
		m := c.findMachine(name)
		if m == nil || m.host == nil || m.State != cloud.StateRunning {
			return fmt.Errorf("machine %s is not running", name)
		}
		all = append(all, m)
	}
	addresses, ports := make([]string, len(all)), make([][]int, len(all))
	for i, m := range all {
		addresses[i] = all[(i+1)%len(all)].host.address
		if err := m.host.powerOff(); err != nil {
			return err
		}
		ports[i] = m.host.closeListeners()
	}
	for i, m := range all {
		if m.host.address = addresses[i]; len(all) == 1 {
			l, err := m.host.takeAddress()
			if err != nil {
				return err
			}
			if err := l.Close(); err != nil {
				return err
			}
		}
		if err := errors.Join(m.host.listenOnPorts(ports[i]...), m.host.powerOn()); err != nil {
			return err
		}
		m.Address, m.PrivateAddress, m.SSHPort = m.host.address, m.host.address, m.host.sshd.Target.Port
	}
	return nil
}
