package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// A connection that was silent for keepAliveAfter gets a keepalive request, and is closed after deadAfter without any
// data. Only tests change them.
var (
	keepAliveAfter = 5 * time.Second
	deadAfter      = 15 * time.Second
)

// breakGrace is how long a failed operation waits to learn whether and why the connection broke.
const breakGrace = 200 * time.Millisecond

// maxSessions is below the default limit of OpenSSH, ten sessions per connection.
const maxSessions = 8

// Host is a live connection to a machine. It is safe for concurrent use.
type Host struct {
	target   Target
	hostKey  string
	client   *ssh.Client
	link     *monitoredConn
	sessions chan struct{}

	keepAliveAfter, deadAfter time.Duration

	// broken is closed when the connection is unusable; why is the reason.
	broken chan struct{}
	why    error
	closed atomic.Bool
	uses   usageCounter
}

func newHost(t Target, client *ssh.Client, l *monitoredConn, hostKey string) *Host {
	h := &Host{
		target: t, hostKey: hostKey, client: client, link: l,
		sessions:       make(chan struct{}, maxSessions),
		broken:         make(chan struct{}),
		keepAliveAfter: keepAliveAfter, deadAfter: deadAfter,
	}
	h.uses.markUsed()
	go func() {
		err := client.Wait()
		switch {
		case l.silent.Load():
			err = fmt.Errorf("no data received for %s", h.deadAfter)
		case h.closed.Load():
			err = net.ErrClosed
		case err == nil:
			err = errors.New("the machine closed the connection")
		}
		h.why = err
		close(h.broken)
	}()
	go h.keepAlive()
	return h
}

// HostKey returns the host key that the machine presented, in authorized_keys form: the key to pin.
func (h *Host) HostKey() string { return h.hostKey }

// Name returns the name of the machine in errors.
func (h *Host) Name() string { return h.target.Name }

// IsAlive reports that the connection is not known to be broken.
func (h *Host) IsAlive() bool {
	select {
	case <-h.broken:
		return false
	default:
		return !h.closed.Load()
	}
}

// Close closes the connection, which ends everything that runs over it.
func (h *Host) Close() error {
	h.closed.Store(true)
	return h.client.Close()
}

// DialContext connects from the machine to an address that it can reach. The new connection counts as a use of this one
// until it is closed, and breaks with it. It ignores deadlines: close it instead.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h.uses.beginUse()
	c, err := openUnlessBroken(h, func() (net.Conn, error) { return h.client.DialContext(ctx, network, address) })
	if err != nil {
		h.uses.endUse()
		return nil, h.toForwardError(ctx, address, err)
	}
	return &forwardedConn{Conn: c, end: sync.OnceFunc(h.uses.endUse)}, nil
}

// openUnlessBroken opens a channel of the connection. It does not wait for open once the connection is broken: the
// library waits forever for an answer to what it sends in the moment in which it notices that
// (golang.org/x/crypto/ssh, mux.loop and mux.openChannel).
func openUnlessBroken[T any](h *Host, open func() (T, error)) (T, error) {
	type result struct {
		opened T
		err    error
	}
	done := make(chan result, 1)
	go func() {
		opened, err := open()
		done <- result{opened, err}
	}()
	select {
	case r := <-done:
		return r.opened, r.err
	case <-h.broken:
		var none T
		return none, h.why
	}
}

func (h *Host) newSession() (*ssh.Session, error) { return openUnlessBroken(h, h.client.NewSession) }

// toForwardError converts the error of a connection from the machine. Unless the machine refused it, or ctx ended, the
// SSH connection has broken, which may not be known yet.
func (h *Host) toForwardError(ctx context.Context, address string, err error) error {
	var refused *ssh.OpenChannelError
	switch isRefused := errors.As(err, &refused); {
	case isRefused && refused.Reason == ssh.Prohibited:
		return fmt.Errorf("machine %s: its SSH server does not allow forwarding (AllowTcpForwarding): %w",
			h.target.Name, err)
	case !h.IsAlive(), !isRefused && ctx.Err() == nil:
		return &Lost{Machine: h.target.Name, Doing: "connecting to " + address + " from the machine",
			Cause: h.awaitBreak(err)}
	}
	return fmt.Errorf("machine %s: connecting to %s from the machine: %w", h.target.Name, address, err)
}

// forwardedConn is a connection that is forwarded by a machine.
type forwardedConn struct {
	net.Conn
	end func()
}

func (c *forwardedConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// CloseWrite ends the outgoing direction; the other side can still send.
func (c *forwardedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// keepAlive closes a connection whose other end is gone. Any incoming byte counts as a sign of life, because replies
// can queue behind a slow upload for a long time. Silence is counted in ticks and not by the clock: a process that was
// paused gets one tick for all of the pause, after which it has to read what came.
func (h *Host) keepAlive() {
	interval := h.keepAliveAfter / 5
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var requesting atomic.Bool
	var silence time.Duration
	for {
		select {
		case <-h.broken:
			return
		case <-tick.C:
		}
		if silence += interval; h.link.heard.Swap(false) {
			silence = 0
		}
		if silence >= h.deadAfter {
			h.link.silent.Store(true)
			h.link.Close()
			return
		}
		if silence >= h.keepAliveAfter && requesting.CompareAndSwap(false, true) {
			go func() {
				_, _, _ = h.client.SendRequest("keepalive@openssh.com", true, nil)
				requesting.Store(false)
			}()
		}
	}
}

// monitoredConn is a TCP connection that records that it received data.
type monitoredConn struct {
	net.Conn
	heard  atomic.Bool // since the last tick
	silent atomic.Bool // closed because it heard nothing
}

func (l *monitoredConn) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(true)
	}
	return n, err
}

// usageCounter counts the uses of a connection, so that a pool can close idle ones.
type usageCounter struct {
	mu   sync.Mutex
	n    int
	last time.Time
}

func (u *usageCounter) markUsed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = time.Now()
}

func (u *usageCounter) beginUse() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n++
}

func (u *usageCounter) endUse() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n--
	u.last = time.Now()
}

func (u *usageCounter) idleFor() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n > 0 {
		return 0
	}
	return time.Since(u.last)
}
