package simcloud

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
)

// SetEnvironment gives machines of a name an environment of their own, as /etc/environment does; nil takes it away.
func (c *Cloud) SetEnvironment(machine string, variables ...string) {
	c.changeSSHFaults(machine, func(l *sshFaults) { l.environ = slices.Clone(variables) })
}

func (l *sshFaults) shellEnvironment() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.environ)
}

// ClosePort has what machines of a name send to a port of others be "rejected", or be dropped ("silent"); "" opens
// it again.
func (c *Cloud) ClosePort(machine string, port int, how string) {
	c.changeDefects(machine, func(d *machineDefects) {
		if d.closed = ""; how != "" {
			d.closed = fmt.Sprint(port, " ", how)
		}
	})
}

// BlockAPI keeps everybody but the head of a name itself from its Kubernetes API, or lets them in again.
func (c *Cloud) BlockAPI(head string, blocked bool) error {
	return c.withHost(head, func(h *host) error {
		if h.api == nil {
			return fmt.Errorf("machine %s is no head", head)
		}
		h.api.blocked.Store(blocked)
		return nil
	})
}

// UseOutsideAddress gives heads of a name that are launched from now on an address to which Go uses a proxy, unlike
// those of loopback. There is one such address only.
func (c *Cloud) UseOutsideAddress(head string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defectsOf(head).outside = true
}

// outsideAddress leads to 127.0.0.1.
const outsideAddress = "0.0.0.0"

// listenOnPorts has a machine listen where RKE2 would, so that others may look whether it does. Nothing is said there.
func (h *host) listenOnPorts(ports ...int) error {
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(h.address, fmt.Sprint(port))) //nolint:noctx // at once
		if err != nil {
			return err
		}
		h.listeners = append(h.listeners, l)
	}
	return nil
}

// serveAPI serves a head's API at a listener, and at the address by which it is known elsewhere.
func (h *host) serveAPI(l net.Listener) error {
	h.api.serveOn(tls.NewListener(l, h.tls))
	if h.outer == "" {
		return nil
	}
	outer, err := net.Listen("tcp", "127.0.0.1:6443") //nolint:noctx // at once
	if err != nil {
		return err
	}
	go func() { _ = h.api.http.Serve(tls.NewListener(outer, h.tls)) }()
	return nil
}
