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

// askAfter and deadAfter: a connection that was silent for askAfter is asked for a sign of life, and given up when
// nothing at all has come for deadAfter. Only tests change them.
var (
	askAfter  = 5 * time.Second
	deadAfter = 15 * time.Second
)

// breakGrace is how long a failure over a connection waits to hear that the connection itself broke, and why.
const breakGrace = 200 * time.Millisecond

// maxSessions stays under OpenSSH's default of ten sessions per connection.
const maxSessions = 8

// Host is a live connection to a machine. It is safe for concurrent use.
type Host struct {
	target   Target
	hostKey  string
	client   *ssh.Client
	line     *monitoredConn
	sessions chan struct{}

	askAfter, deadAfter time.Duration

	// broken is closed once the connection is of no use; why says the reason.
	broken chan struct{}
	why    error
	closed atomic.Bool
	uses   usageCounter
}

func newHost(t Target, client *ssh.Client, l *monitoredConn, hostKey string) *Host {
	h := &Host{
		target: t, hostKey: hostKey, client: client, line: l,
		sessions: make(chan struct{}, maxSessions),
		broken:   make(chan struct{}),
		askAfter: askAfter, deadAfter: deadAfter,
	}
	h.uses.markUsed()
	go func() {
		err := client.Wait()
		switch {
		case l.silent.Load():
			err = fmt.Errorf("nothing was heard of it for %s", h.deadAfter)
		case h.closed.Load():
			err = net.ErrClosed
		case err == nil:
			err = errors.New("the machine hung up")
		}
		h.why = err
		close(h.broken)
	}()
	go h.keepAlive()
	return h
}

// HostKey is the host key that the machine showed, in authorized_keys form: what to pin from now on.
func (h *Host) HostKey() string { return h.hostKey }

// Name is how errors call the machine.
func (h *Host) Name() string { return h.target.Name }

// IsAlive says that the connection is not known to be broken.
func (h *Host) IsAlive() bool {
	select {
	case <-h.broken:
		return false
	default:
		return !h.closed.Load()
	}
}

// Close ends the connection, and with it whatever still runs over it.
func (h *Host) Close() error {
	h.closed.Store(true)
	return h.client.Close()
}

// DialContext connects from the machine to an address that it can reach. What is dialled so is a use of this connection
// until it is closed, and breaks with it. It does not heed deadlines of its own: close it instead.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.client.DialContext(ctx, network, address)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused) && refused.Reason == ssh.Prohibited:
		return nil, fmt.Errorf("machine %s: its SSH server does not pass connections on (AllowTcpForwarding): %w",
			h.target.Name, err)
	case err != nil && !h.IsAlive():
		return nil, &Lost{Machine: h.target.Name, Doing: "connecting to " + address + " from there", Cause: err}
	case err != nil:
		return nil, fmt.Errorf("machine %s: connecting to %s from there: %w", h.target.Name, address, err)
	}
	h.uses.beginUse()
	return &forwardedConn{Conn: c, end: sync.OnceFunc(h.uses.endUse)}, nil
}

// forwardedConn is a connection that runs over a machine's own.
type forwardedConn struct {
	net.Conn
	end func()
}

func (c *forwardedConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// CloseWrite ends what this side has to say, and leaves the other to finish.
func (c *forwardedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// keepAlive gives up a connection whose other end has gone. Any byte that comes in counts as a sign of life, so that a
// slow upload, behind which an answer may queue for long, is not taken for a dead machine.
func (h *Host) keepAlive() {
	tick := time.NewTicker(h.askAfter / 5)
	defer tick.Stop()
	var asking atomic.Bool
	for {
		select {
		case <-h.broken:
			return
		case <-tick.C:
		}
		silence := h.line.silentFor()
		if silence >= h.deadAfter {
			h.line.silent.Store(true)
			h.line.Close()
			return
		}
		if silence >= h.askAfter && asking.CompareAndSwap(false, true) {
			go func() {
				_, _, _ = h.client.SendRequest("keepalive@openssh.com", true, nil)
				asking.Store(false)
			}()
		}
	}
}

// monitoredConn is the TCP connection; it remembers when the machine was last heard.
type monitoredConn struct {
	net.Conn
	heard  atomic.Int64 // since start
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

// usageCounter counts what runs over a connection, so that a pool can tell an idle one.
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
