package remote

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Bastion is an SSH server through which machines are reached, as with ProxyJump of OpenSSH. The connection to a
// machine is encrypted and authenticated end to end: the bastion passes on bytes.
type Bastion struct {
	// Target logs in to the bastion; its host key has to be pinned.
	Target Target
	// ReadKey returns the private key for the bastion, in PEM.
	ReadKey func(context.Context) ([]byte, error)
	// Networks are the addresses of machines that are reached through it; none are all.
	Networks []netip.Prefix
}

// servesMachine reports whether a machine is reached through the bastion. Loopback never is, nor the bastion itself.
func (b *Bastion) servesMachine(t Target) bool {
	if b == nil || t == b.Target {
		return false
	}
	ip, err := netip.ParseAddr(t.Address)
	if err != nil { // a name: the bastion resolves it
		return len(b.Networks) == 0
	}
	return !ip.IsLoopback() && (len(b.Networks) == 0 || slices.ContainsFunc(b.Networks, func(n netip.Prefix) bool {
		return n.Contains(ip.Unmap())
	}))
}

// ReachThrough has the pool reach machines through a bastion; nil reaches all of them directly. It is called before the
// pool is used.
func (p *Pool) ReachThrough(b *Bastion) { p.bastion = b }

// dialThroughBastion connects to a machine from the bastion, over the pool's connection to it. Its errors are of the
// kind that a retry may help, whatever is wrong: none of them says anything about the machine.
func (p *Pool) dialThroughBastion(ctx context.Context, machine, address string) (net.Conn, error) {
	b := p.bastion
	lost := func(err error) error { // the text only: the cause is no error of the machine
		return &Lost{Machine: machine, Doing: "connecting through the bastion " + b.Target.Name,
			Cause: fmt.Errorf("%v", err)} //nolint:errorlint // see above
	}
	for first := true; ; first = false {
		key, err := b.ReadKey(ctx)
		if err != nil {
			return nil, lost(err)
		}
		h, err := p.GetHost(ctx, b.Target, key)
		if err != nil {
			return nil, lost(err)
		}
		c, err := h.DialContext(ctx, "tcp", address)
		if err == nil {
			return c, nil
		}
		if !first || !IsLost(err) { // a pooled connection may be broken
			return nil, lost(err)
		}
	}
}
