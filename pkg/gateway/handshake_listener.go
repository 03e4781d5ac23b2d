package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
)

// handshakeListener accepts connections whose TLS handshake is done, with the client's certificate verified. Who has no
// certificate costs one handshake, and one address holds only so many of them at a time.
type handshakeListener struct {
	net.Listener // of connections before their handshake
	options      handshakeOptions
	ctx          context.Context // ends with the listener
	cancel       context.CancelFunc
	accepted     chan acceptResult
	working      sync.WaitGroup

	mu      sync.Mutex
	pending map[netip.Prefix]*pendingHandshakes // by client
}

type handshakeOptions struct {
	tls     *tls.Config
	timeout time.Duration
	// perClient is how many handshakes one client can have at a time. One more ends the oldest: it takes milliseconds,
	// and those that are held open for longer make room.
	perClient int
	log       *slog.Logger
}

// acceptResult is what Accept returns.
type acceptResult struct {
	conn net.Conn
	err  error
}

// pendingHandshakes are the unfinished handshakes of one client.
type pendingHandshakes struct {
	conns  []net.Conn // the oldest first
	logged bool       // that there are too many
}

// newHandshakeListener takes over a listener.
func newHandshakeListener(l net.Listener, o handshakeOptions) *handshakeListener {
	h := &handshakeListener{Listener: l, options: o, accepted: make(chan acceptResult),
		pending: map[netip.Prefix]*pendingHandshakes{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.working.Go(h.acceptAll)
	return h
}

// Accept returns a *tls.Conn.
func (h *handshakeListener) Accept() (net.Conn, error) {
	select {
	case r := <-h.accepted:
		return r.conn, r.err
	case <-h.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends all unfinished handshakes, and waits for their end.
func (h *handshakeListener) Close() error {
	h.cancel()
	err := h.Listener.Close()
	h.working.Wait()
	return err
}

// acceptAll starts a handshake with each client. After an error it goes on once Accept has returned it.
func (h *handshakeListener) acceptAll() {
	for h.ctx.Err() == nil {
		conn, err := h.Listener.Accept()
		if err != nil {
			h.deliver(acceptResult{err: err})
			continue
		}
		client := clientOf(conn.RemoteAddr())
		h.begin(client, conn)
		h.working.Go(func() { h.shakeHands(client, conn) })
	}
}

// deliver returns false if the listener is closed before Accept takes the result.
func (h *handshakeListener) deliver(r acceptResult) bool {
	select {
	case h.accepted <- r:
		return true
	case <-h.ctx.Done():
		return false
	}
}

func (h *handshakeListener) shakeHands(client netip.Prefix, conn net.Conn) {
	secured, err := h.authenticate(conn)
	h.end(client, conn)
	if err != nil {
		h.logFailure(conn, err)
	}
	if err != nil || !h.deliver(acceptResult{conn: secured}) {
		conn.Close()
	}
}

// panicError is a panic in a handshake. The HTTP server catches those in requests.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func (h *handshakeListener) authenticate(conn net.Conn) (secured *tls.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	ctx, cancel := context.WithTimeoutCause(h.ctx, h.options.timeout,
		fmt.Errorf("no TLS handshake within %s", h.options.timeout))
	defer cancel()
	secured = tls.Server(conn, h.options.tls)
	if err := secured.HandshakeContext(ctx); err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	} else if err != nil {
		return nil, err
	}
	return secured, nil
}

// begin registers an unfinished handshake. If its client has too many, it ends the oldest one.
func (h *handshakeListener) begin(client netip.Prefix, conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pending[client]
	if p == nil {
		p = &pendingHandshakes{}
		h.pending[client] = p
	}
	p.conns = append(p.conns, conn)
	if len(p.conns) <= h.options.perClient {
		return
	}
	p.conns[0].Close()
	p.conns = slices.Delete(p.conns, 0, 1)
	if !p.logged {
		h.options.log.Warn("a client has too many unfinished TLS handshakes with the gateway, which ends the oldest",
			"from", client, "limit", h.options.perClient)
		p.logged = true
	}
}

// end forgets a handshake that is done, or has failed.
func (h *handshakeListener) end(client netip.Prefix, conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pending[client]
	if p == nil {
		return
	}
	p.conns = slices.DeleteFunc(p.conns, func(c net.Conn) bool { return c == conn })
	if len(p.conns) == 0 {
		delete(h.pending, client)
	}
}

// logFailure logs why a client was refused. It leaves out those that hung up, as load balancers that check the port do
// again and again, and those that this listener hung up on.
func (h *handshakeListener) logFailure(conn net.Conn, err error) {
	logger := h.options.log.With("from", conn.RemoteAddr().String())
	if broken := new(panicError); errors.As(err, &broken) {
		logger.Error("a TLS handshake with the gateway failed by a fault of the gateway", "error", err)
		return
	}
	for _, usual := range []error{io.EOF, syscall.ECONNRESET, net.ErrClosed, context.Canceled} {
		if errors.Is(err, usual) {
			return
		}
	}
	logger.Info("the gateway refused a client", "reason", err)
}

// clientOf returns what counts as one client: an IPv4 address, or an IPv6 network of 64 bits, of which one computer can
// use each address (RFC 4291, 2.5.1; RFC 8981).
func clientOf(a net.Addr) netip.Prefix {
	address, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := address.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	client, _ := ip.Prefix(bits) // it has so many
	return client
}
