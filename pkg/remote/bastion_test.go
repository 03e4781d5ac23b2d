package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// bastionAt is an SSH server as a bastion, whose private key is in a secret.
func bastionAt(s *sshserver.Server, secret string) remote.Bastion {
	return remote.Bastion{User: s.Target.User, Address: s.Target.Address, Port: s.Target.Port,
		HostKey: s.Target.HostKey, Secret: secret}
}

// keysOf reads private keys by the names of their secrets.
func keysOf(keys map[string][]byte) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, secret string) ([]byte, error) {
		if key, ok := keys[secret]; ok {
			return key, nil
		}
		return nil, errors.New("no such secret")
	}
}

// newBastionPool returns a pool that reaches machines in 192.0.2.0/24 through an SSH server, which passes connections
// on to the machine.
func newBastionPool(t *testing.T) (p *remote.Pool, bastion, machine *sshserver.Server, target remote.Target) {
	t.Helper()
	bastion, machine = sshserver.Start(t), sshserver.Start(t)
	bastion.Forward = fmt.Sprintf("127.0.0.1:%d", machine.Target.Port)
	p = remote.NewPool(0)
	t.Cleanup(p.Close)
	p.SetRoutes(remote.Routes{Usual: bastionAt(bastion, "key"),
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ReadKey: keysOf(map[string][]byte{
			"key": bastion.Key})})
	target = machine.Target
	target.Address = "192.0.2.7" // nobody answers there
	return p, bastion, machine, target
}

func TestMachinesAreReachedThroughTheBastion(t *testing.T) {
	p, bastion, machine, target := newBastionPool(t)
	var last *remote.Host
	for _, get := range []func() (*remote.Host, error){
		func() (*remote.Host, error) { return p.GetHost(t.Context(), target, machine.Key) },
		func() (*remote.Host, error) { return p.AwaitHost(t.Context(), target, machine.Key, nil) },
	} {
		h, err := get()
		if err != nil {
			t.Fatal(err)
		}
		last = h
		if out, err := h.RunScript(t.Context(), "greeting", "echo hello"); err != nil || string(out) != "hello\n" {
			t.Errorf("got %q, %v", out, err)
		}
	}
	bastion.HangUp() // the next use opens both connections again
	eventually.Holds(t, "the connection is known to be broken", func() bool { return !last.IsAlive() })
	if h, err := p.AwaitHost(t.Context(), target, machine.Key, nil); err != nil {
		t.Error(err)
	} else if _, err := h.RunScript(t.Context(), "greeting", "true"); err != nil {
		t.Error(err)
	}
	if n := bastion.Logins.Load(); n != 2 {
		t.Errorf("%d logins to the bastion", n)
	}
	if _, err := p.GetHost(t.Context(), machine.Target, machine.Key); err != nil || bastion.Logins.Load() != 2 {
		t.Errorf("a machine outside of the networks: %v", err)
	}
}

func TestErrorsOfTheBastionAreNotThoseOfTheMachine(t *testing.T) {
	p, bastion, machine, target := newBastionPool(t)
	wrong := target
	wrong.HostKey = bastion.Target.HostKey
	var mismatch *remote.HostKeyMismatch
	if _, err := p.GetHost(t.Context(), wrong, machine.Key); !errors.As(err, &mismatch) {
		t.Errorf("another host key of the machine: %v", err)
	}
	bastion.RefuseForwards.Store(true)
	if _, err := p.GetHost(t.Context(), target, machine.Key); !remote.IsLost(err) || remote.IsFinal(err) ||
		!strings.Contains(err.Error(), "through the bastion root@127.0.0.1:") ||
		!strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("a bastion that forwards nothing: %v", err)
	}
	other, _, _ := remote.NewKeyPair()
	changed := func(change func(*remote.Bastion)) remote.Bastion {
		b := bastionAt(bastion, "key")
		change(&b)
		return b
	}
	for what, b := range map[string]remote.Bastion{
		"rejects the SSH key": changed(func(b *remote.Bastion) { b.Secret = "other" }),
		"another host key":    changed(func(b *remote.Bastion) { b.HostKey = machine.Target.HostKey }),
		"no such secret":      changed(func(b *remote.Bastion) { b.Secret = "none" }),
		"host key":            changed(func(b *remote.Bastion) { b.HostKey = "" }),
	} {
		for _, isUsual := range []bool{true, false} {
			q, at := remote.NewPool(0), target
			routes := remote.Routes{ReadKey: keysOf(map[string][]byte{"key": bastion.Key, "other": other})}
			if routes.Usual = b; !isUsual {
				routes.Usual, at.Bastion = bastionAt(machine, "key"), b
			}
			q.SetRoutes(routes)
			_, err := q.GetHost(t.Context(), at, machine.Key)
			q.Close()
			if !remote.IsLost(err) || remote.IsFinal(err) || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestMachineIsReachedThroughTheBastionOfItsOwn(t *testing.T) {
	p, usual, machine, target := newBastionPool(t)
	own := sshserver.Start(t)
	own.Forward = usual.Forward
	p.SetRoutes(remote.Routes{Usual: bastionAt(usual, "usual"),
		ReadKey: keysOf(map[string][]byte{"usual": usual.Key, "own": own.Key})})
	get := func(usualLogins, ownLogins int64) {
		t.Helper()
		if _, err := p.GetHost(t.Context(), target, machine.Key); err != nil {
			t.Error(err)
		}
		if u, o := usual.Logins.Load(), own.Logins.Load(); u != usualLogins || o != ownLogins {
			t.Errorf("%d logins to the usual bastion, and %d to its own", u, o)
		}
	}
	get(1, 0)
	before := machine.Logins.Load()
	target.Bastion = bastionAt(own, "own") // a change counts for the next use
	get(1, 1)
	get(1, 1)
	if n := machine.Logins.Load() - before; n != 1 {
		t.Errorf("%d logins to the machine", n)
	}
	if target.Direct = true; p.FindRoute(target) != nil {
		t.Error("it is to be reached directly")
	}
	target.Direct = false
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		if target.Address = loopback; p.FindRoute(target) != nil {
			t.Errorf("%s is to be reached directly", loopback)
		}
	}
}

func TestTwoKeysForOneBastionDoNotDisturbEachOther(t *testing.T) {
	p, bastion, machine, first := newBastionPool(t)
	second := first
	second.Name, second.Address = "sky-test-1", "192.0.2.8"
	key, public, err := remote.NewKeyPair()
	if err == nil {
		err = bastion.AdmitKey(public)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.SetRoutes(remote.Routes{ReadKey: keysOf(map[string][]byte{"first": bastion.Key, "second": key})})
	first.Bastion, second.Bastion = bastionAt(bastion, "first"), bastionAt(bastion, "second")
	for range 3 {
		for _, target := range []remote.Target{first, second} {
			if _, err := p.GetHost(t.Context(), target, machine.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := bastion.Logins.Load(); n != 2 {
		t.Errorf("%d logins to the bastion, want one for each key", n)
	}
}
