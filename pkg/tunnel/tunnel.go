// Package tunnel reaches the Kubernetes API of a cluster whose port 6443 is not open: through SSH to its head. It keeps
// a loopback port of this machine for each such cluster, so that any kubectl gets there, and dials for whoever needs no
// port.
//
// What runs through it stays encrypted and authenticated end to end: the port is of no use to who lacks the kubeconfig.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// apiAddress is where the API listens, as seen from the head.
	apiAddress = "127.0.0.1:6443"
	// dialTimeout bounds how long a connection waits to come about, with SSH made anew where that broke.
	dialTimeout = 20 * time.Second
)

// DialAPI connects to the cluster's API through SSH to its head, pinned to the host key that is known of it. The
// connection heeds no deadline: close it instead.
func DialAPI(ctx context.Context, s *store.Store, pool *remote.Pool, ref api.Ref) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target, key, err := headTarget(ctx, s, ref)
	if err != nil {
		return nil, fmt.Errorf("tunnel to cluster %s: %w", ref.Name, err)
	}
	for first := true; ; first = false {
		h, err := pool.GetHost(ctx, target, key)
		if err != nil {
			return nil, fmt.Errorf("tunnel to cluster %s: %w", ref.Name, err)
		}
		c, err := h.DialContext(ctx, "tcp", apiAddress)
		if err == nil {
			return c, nil
		}
		if !first || !remote.IsLost(err) { // a connection that was kept may have broken unnoticed
			return nil, fmt.Errorf("tunnel to cluster %s: %w", ref.Name, err)
		}
	}
}

// headTarget is how to log in to a cluster's head.
func headTarget(ctx context.Context, s *store.Store, ref api.Ref) (remote.Target, []byte, error) {
	none := remote.Target{}
	c, err := s.ReadCluster(ctx, ref.Name)
	if err != nil {
		return none, nil, err
	}
	if c.Metadata.UID != ref.UID {
		return none, nil, &store.NotFoundError{Cluster: ref.Name}
	}
	for _, m := range c.Status.Machines {
		if m.Role != api.RoleHead {
			continue
		}
		if m.Address == "" || m.HostKey == "" || !m.State.MayExist() {
			return none, nil, fmt.Errorf("its head %s can't be reached: it is %s", m.Name, m.State)
		}
		key, err := s.ReadSecret(ctx, ref, store.SecretSSHKey)
		return remote.Target{Name: m.Name, Address: m.Address, Port: m.SSHPort, User: m.SSHUser, HostKey: m.HostKey},
			key, err
	}
	return none, nil, errors.New("it has no head")
}

// Tunnel is a loopback port that leads to a cluster's API.
type Tunnel struct {
	listener net.Listener
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// Open listens on a loopback port, and passes every connection on until it is closed. Each one finds its way anew, so
// that neither a lost SSH connection nor a head at a new address ends the tunnel. Where the port is taken the error
// says so; failed hears why connections don't come about, once for each reason in a row, and is not called by two at
// once.
func Open(s *store.Store, pool *remote.Pool, ref api.Ref, port int, failed func(error)) (*Tunnel, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("tunnel to cluster %s: port %d of this machine can't be had: %w", ref.Name, port, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tunnel{listener: l, cancel: cancel}
	t.done.Go(func() {
		t.serveConnections(ctx, func(ctx context.Context) (net.Conn, error) {
			return DialAPI(ctx, s, pool, ref)
		}, &failureReporter{tell: failed})
	})
	return t, nil
}

// Close ends the tunnel with all that runs through it.
func (t *Tunnel) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.done.Wait()
	return err
}

func (t *Tunnel) serveConnections(ctx context.Context, dial func(context.Context) (net.Conn, error),
	said *failureReporter) {
	for {
		c, err := t.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil { // such as too many open files: that passes
			said.reportFailure(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		t.done.Go(func() {
			defer c.Close()
			out, err := dial(ctx)
			if err != nil {
				said.reportFailure(err)
				return
			}
			said.clearFailure()
			defer out.Close()
			relayStreams(ctx, c, out)
		})
	}
}

// relayStreams carries what both say to the other, until both are done or ctx ends.
func relayStreams(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		half, ok := to.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			// It broke, and nothing that is still to come would arrive whole.
			a.Close()
			b.Close()
		}
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
}

// failureReporter passes on why connections fail, once for each reason in a row: a kubectl that watches tries again and
// again.
type failureReporter struct {
	tell func(error)
	mu   sync.Mutex
	last string
}

func (t *failureReporter) reportFailure(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err.Error() != t.last {
		t.last = err.Error()
		t.tell(err)
	}
}

func (t *failureReporter) clearFailure() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = ""
}
