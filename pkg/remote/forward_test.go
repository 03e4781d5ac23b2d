package remote_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// echo returns the data of every connection once its sender has closed it.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				data, _ := io.ReadAll(c)
				_, _ = c.Write(data)
			}()
		}
	}()
	return l.Addr().String()
}

func TestForwardedConnectionClosesEachDirectionSeparately(t *testing.T) {
	s := sshserver.Start(t)
	pool := remote.NewPool(50 * time.Millisecond)
	defer pool.Close()
	address := echo(t)
	var h *remote.Host
	var c net.Conn
	eventually.Succeeds(t, "a connection before that of the pool has been idle for too long", func() (err error) {
		if h, err = pool.GetHost(t.Context(), s.Target, s.Key); err == nil {
			c, err = h.DialContext(t.Context(), "tcp", address)
		}
		return err
	})
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	<-time.After(300 * time.Millisecond) // far longer than the pool's idle time
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(c); err != nil || string(data) != "hello" {
		t.Errorf("the echo was %q, %v", data, err)
	}
	if !h.IsAlive() {
		t.Error("the pool closed a connection that was in use")
	}
	c.Close()
	eventually.Holds(t, "the unused connection is closed", func() bool { return !h.IsAlive() })
}

func TestForwardedConnectionBreaksWithItsHost(t *testing.T) {
	s := sshserver.Start(t)
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c, err := h.DialContext(t.Context(), "tcp", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.HangUp()
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.EOF) {
		t.Logf("it broke with: %v", err)
	}
	if _, err := h.DialContext(t.Context(), "tcp", echo(t)); !remote.IsLost(err) {
		t.Errorf("dialling over a broken connection: %v, want it to be lost", err)
	}
}

func TestRefusedForwardingNamesTheSSHSetting(t *testing.T) {
	s := sshserver.Start(t)
	s.RefuseForwards.Store(true)
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, err = h.DialContext(t.Context(), "tcp", echo(t))
	if err == nil || !strings.Contains(err.Error(), "AllowTcpForwarding") || remote.IsLost(err) {
		t.Errorf("got %v", err)
	}
}
