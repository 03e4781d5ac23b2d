package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Bastion is an SSH server through which machines are reached, as with ProxyJump of OpenSSH. The connection to a
// machine is encrypted and authenticated end to end: the bastion passes on bytes. The zero value is none.
type Bastion struct {
	User, Address string
	Port          int
	// HostKey is its host key, in authorized_keys form. It has to be known.
	HostKey string
	// Secret names the private key for it; see Routes.
	Secret string
}

// String names the bastion in errors.
func (b Bastion) String() string {
	return b.User + "@" + net.JoinHostPort(b.Address, strconv.Itoa(b.Port))
}

// target logs in to the bastion itself.
func (b Bastion) target() Target {
	return Target{Name: b.String(), Address: b.Address, Port: b.Port, User: b.User, HostKey: b.HostKey, Direct: true,
		bastion: b}
}

// Routes say how machines are reached.
type Routes struct {
	// Usual is the bastion of machines whose Target names none.
	Usual Bastion
	// Networks are the addresses of machines that are reached through Usual; none are all.
	Networks []netip.Prefix
	// ReadKey returns the private key, in PEM, that a secret has.
	ReadKey func(ctx context.Context, secret string) ([]byte, error)
	// Gateway connects to the SSH port of a machine that its name and its cluster's UID identify. If it is set, all
	// machines are reached through it, also those on loopback, and the other end of it uses their bastions.
	Gateway func(context.Context, Target) (net.Conn, error)
	// DirectAdvice ends the error of a machine that is reached directly and does not answer. It may be empty.
	DirectAdvice string
}

// findBastion returns the bastion through which a machine is reached; the zero value is none. Loopback is always
// reached directly.
func (r Routes) findBastion(t Target) Bastion {
	ip, err := netip.ParseAddr(t.Address)
	isName := err != nil // the bastion resolves it
	switch {
	case t.Direct, !isName && ip.IsLoopback():
		return Bastion{}
	case t.Bastion != Bastion{}:
		return t.Bastion
	case len(r.Networks) == 0, !isName && slices.ContainsFunc(r.Networks, func(n netip.Prefix) bool {
		return n.Contains(ip.Unmap())
	}):
		return r.Usual
	}
	return Bastion{}
}

// SetRoutes says how machines are reached; without it, all without a bastion of their own are reached directly. It is
// called before the pool is used.
func (p *Pool) SetRoutes(r Routes) { p.routes = r }

// FindRoute returns what connects to a machine through the gateway or its bastion, for a login that is not the pool's;
// nil if the machine is reached directly. The connection ignores deadlines: close it instead.
func (p *Pool) FindRoute(t Target) func(context.Context) (net.Conn, error) {
	if p.routes.Gateway != nil {
		return func(ctx context.Context) (net.Conn, error) {
			c, err := p.routes.Gateway(ctx, t)
			if err != nil {
				return nil, &Lost{Machine: t.Name, Doing: "connecting through the gateway", Cause: err}
			}
			return c, nil
		}
	}
	b := p.routes.findBastion(t)
	if b == (Bastion{}) {
		return nil
	}
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, bastionTimeout)
		defer cancel()
		c, err := p.dialThrough(ctx, b, t.hostPort())
		if err != nil { // the text only: the cause is no error of the machine, and a retry may help
			return nil, &Lost{Machine: t.Name, Doing: "connecting through the bastion " + b.String(),
				Cause: fmt.Errorf("%v", err)} //nolint:errorlint // see above
		}
		return c, nil
	}
}

// DialMachine connects to the SSH port of a machine, through its bastion if it has one, and does not log in. The
// connection may ignore deadlines: close it instead.
func (p *Pool) DialMachine(ctx context.Context, t Target) (net.Conn, error) {
	d := dialer{target: t, address: t.hostPort(), connect: p.FindRoute(t)}
	return d.openConnection(ctx, connectTimeout)
}

// dialThrough connects to an address from a bastion, over the pool's connection to it.
func (p *Pool) dialThrough(ctx context.Context, b Bastion, address string) (net.Conn, error) {
	if b.HostKey == "" || p.routes.ReadKey == nil {
		return nil, errors.New("its host key and its private key have to be known")
	}
	for first := true; ; first = false {
		key, err := p.routes.ReadKey(ctx, b.Secret)
		if err != nil {
			return nil, err
		}
		h, err := p.GetHost(ctx, b.target(), key)
		if err != nil {
			return nil, err
		}
		c, err := h.DialContext(ctx, "tcp", address)
		if err == nil || !first || !IsLost(err) { // a pooled connection may be broken
			return c, err
		}
	}
}
