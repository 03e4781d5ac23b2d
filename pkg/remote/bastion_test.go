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

// newBastionPool returns a pool that reaches machines in 192.0.2.0/24 through an SSH server, which passes connections
// on to the machine.
func newBastionPool(t *testing.T) (p *remote.Pool, bastion, machine *sshserver.Server, target remote.Target) {
	t.Helper()
	bastion, machine = sshserver.Start(t), sshserver.Start(t)
	bastion.Forward = fmt.Sprintf("127.0.0.1:%d", machine.Target.Port)
	p = remote.NewPool(0)
	t.Cleanup(p.Close)
	at := bastion.Target
	at.Name = "jump@bastion"
	p.ReachThrough(&remote.Bastion{Target: at, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		ReadKey: func(context.Context) ([]byte, error) { return bastion.Key, nil }})
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
		!strings.Contains(err.Error(), "through the bastion jump@bastion") ||
		!strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("a bastion that forwards nothing: %v", err)
	}
	other, _, _ := remote.NewKeyPair()
	for what, b := range map[string]*remote.Bastion{
		"rejects the SSH key": {Target: bastion.Target,
			ReadKey: func(context.Context) ([]byte, error) { return other, nil }},
		"another host key": {Target: remote.Target{Name: "b", Address: bastion.Target.Address,
			Port: bastion.Target.Port, User: "root", HostKey: machine.Target.HostKey},
			ReadKey: func(context.Context) ([]byte, error) { return bastion.Key, nil }},
		"no such secret": {Target: bastion.Target,
			ReadKey: func(context.Context) ([]byte, error) { return nil, errors.New("no such secret") }},
	} {
		q := remote.NewPool(0)
		q.ReachThrough(b)
		_, err := q.GetHost(t.Context(), target, machine.Key)
		q.Close()
		if !remote.IsLost(err) || remote.IsFinal(err) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
