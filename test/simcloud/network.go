package simcloud

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"

	"github.com/sky-shift/skyctl/test/freeport"
)

// SetEnvironment sets the environment of machines of a name, as /etc/environment does; nil removes it.
func (c *Cloud) SetEnvironment(machine string, variables ...string) {
	c.changeSSHFaults(machine, func(l *sshFaults) { l.environ = slices.Clone(variables) })
}

func (l *sshFaults) shellEnvironment() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.environ)
}

// ClosePort makes connections from machines of a name to a port of other machines be "rejected" or dropped ("silent");
// "" opens the port again.
func (c *Cloud) ClosePort(machine string, port int, how string) {
	c.changeDefects(machine, func(d *machineDefects) {
		if d.closed = ""; how != "" {
			d.closed = fmt.Sprint(port, " ", how)
		}
	})
}

// BlockAPI closes a head's Kubernetes API to all but the head itself, or opens it again.
func (c *Cloud) BlockAPI(head string, blocked bool) error {
	return c.withHost(head, func(h *host) error {
		if h.api == nil {
			return fmt.Errorf("machine %s is not a head", head)
		}
		h.api.blocked.Store(blocked)
		return nil
	})
}

// UseOutsideAddress gives heads of a name that are launched from now on an address for which Go uses a proxy, unlike
// those of loopback. There is only one such address.
func (c *Cloud) UseOutsideAddress(head string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defectsOf(head).outside = true
}

// outsideAddress leads to 127.0.0.1.
const outsideAddress = "0.0.0.0"

// listenOnPorts makes a machine listen on RKE2's ports, so that others can probe them. It sends nothing there.
func (h *host) listenOnPorts(ports ...int) error {
	for _, port := range ports {
		l, err := freeport.ListenAgain(net.JoinHostPort(h.address, fmt.Sprint(port)))
		if err != nil {
			return err
		}
		h.listeners = append(h.listeners, l)
	}
	return nil
}

// serveAPI serves a head's API at a listener, and at its outside address.
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
