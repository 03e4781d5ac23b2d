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
	c, err := h.client.DialContext(ctx, network, address)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return nil, fmt.Errorf("machine %s: its SSH server does not allow forwarding (AllowTcpForwarding): %w",
			h.target.Name, err)
	case err != nil && !h.IsAlive():
		return nil, &Lost{Machine: h.target.Name, Doing: "connecting to " + address + " from the machine", Cause: err}
	case err != nil:
		return nil, fmt.Errorf("machine %s: connecting to %s from the machine: %w", h.target.Name, address, err)
	}
	h.uses.beginUse()
	return &forwardedConn{Conn: c, end: sync.OnceFunc(h.uses.endUse)}, nil
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
// can queue behind a slow upload for a long time.
func (h *Host) keepAlive() {
	tick := time.NewTicker(h.keepAliveAfter / 5)
	defer tick.Stop()
	var requesting atomic.Bool
	for {
		select {
		case <-h.broken:
			return
		case <-tick.C:
		}
		silence := h.link.silentFor()
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

// monitoredConn is a TCP connection that records when it last received data.
type monitoredConn struct {
	net.Conn
	heard  atomic.Int64 // time of the last data, since start
	start  time.Time
	silent atomic.Bool
}

func newMonitoredConn(c net.Conn) *monitoredConn { return &monitoredConn{Conn: c, start: time.Now()} }

func (l *monitoredConn) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.start)))
	}
	return n, err
}

func (l *monitoredConn) silentFor() time.Duration {
	return time.Since(l.start) - time.Duration(l.heard.Load())
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
