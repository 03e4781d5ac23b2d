package remote_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/sshserver"
)

func pool(t *testing.T, idle time.Duration) *remote.Pool {
	t.Helper()
	p := remote.NewPool(idle)
	t.Cleanup(p.Close)
	return p
}

func get(t *testing.T, p *remote.Pool, s *sshserver.Server) *remote.Host {
	t.Helper()
	h, err := p.GetHost(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestConcurrentCallersShareOneConnection(t *testing.T) {
	s, p := sshserver.Start(t), pool(t, 0)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			h, err := p.AwaitHost(t.Context(), s.Target, s.Key, nil)
			if err == nil {
				_, err = h.RunScript(t.Context(), "nothing", "sleep 0.05")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.Logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestBrokenConnectionIsReplaced(t *testing.T) {
	s, p := sshserver.Start(t), pool(t, 0)
	h := get(t, p, s)
	s.HangUp()
	eventually.Holds(t, "the break is noticed", func() bool { return !h.IsAlive() })
	if _, err := get(t, p, s).RunScript(t.Context(), "nothing", "true"); err != nil {
		t.Error(err)
	}
}

func TestConnectionIsSharedOnlyByEqualIdentities(t *testing.T) {
	s, p := sshserver.Start(t), pool(t, 0)
	unpinned := s.Target
	unpinned.HostKey = ""
	first, err := p.GetHost(t.Context(), unpinned, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	if get(t, p, s) != first {
		t.Error("pinning the presented key opened a second connection")
	}
	other, public, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.GetHost(t.Context(), s.Target, other); !remote.IsFinal(err) {
		t.Errorf("another key: got %v", err)
	}
	target := s.Target
	target.HostKey = public
	if _, err := p.GetHost(t.Context(), target, s.Key); !remote.IsFinal(err) {
		t.Errorf("another host key: got %v", err)
	}
}

func TestOnlyIdleConnectionsAreClosed(t *testing.T) {
	s, p := sshserver.Start(t), pool(t, 100*time.Millisecond)
	var h *remote.Host
	eventually.Holds(t, "a script begins before its connection has been idle for too long", func() (began bool) {
		h = get(t, p, s)
		err := h.FollowScript(t.Context(), "working", "echo begun; sleep 0.5", func(string) { began = true })
		if began && err != nil {
			t.Fatal(err)
		}
		return began
	})
	eventually.Holds(t, "the idle connection is closed", func() bool { return !h.IsAlive() })
}

func TestForgetMachineClosesItsConnection(t *testing.T) {
	s, p := sshserver.Start(t), pool(t, 0)
	h := get(t, p, s)
	p.ForgetMachine(s.Target.Name)
	eventually.Holds(t, "the connection is closed", func() bool { return !h.IsAlive() })
}
