// Package tunnel reaches the Kubernetes API of a cluster whose port 6443 is closed, through SSH to its head. It keeps a
// loopback port open for each such cluster, for kubectl, and can dial without a port.
//
// The connection stays encrypted and authenticated end to end: nobody can use the port without the kubeconfig.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/relay"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// apiAddress is the address of the API on the head.
	apiAddress = "127.0.0.1:6443"
	// dialTimeout bounds a connection, including a new SSH connection.
	dialTimeout = 20 * time.Second
)

// DialAPI connects to the API of a cluster through SSH to its head, with the recorded host key. The connection ignores
// deadlines: close it instead.
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
		if !first || !remote.IsLost(err) { // a pooled connection may be broken
			return nil, fmt.Errorf("tunnel to cluster %s: %w", ref.Name, err)
		}
	}
}

// headTarget returns the SSH target and key of a cluster's head.
func headTarget(ctx context.Context, s *store.Store, ref api.Ref) (remote.Target, []byte, error) {
	none := remote.Target{}
	c, err := s.ReadClusterPart(ctx, ref)
	if err != nil {
		return none, nil, err
	}
	for _, m := range c.Status.Machines {
		if m.Role != api.RoleHead {
			continue
		}
		if m.Address == "" || m.HostKey == "" || !m.State.MayExist() {
			return none, nil, fmt.Errorf("its head %s cannot be reached: it is %s", m.Name, m.State)
		}
		key, err := s.ReadSecret(ctx, ref, store.SecretSSHKey)
		return sshtarget.Of(c, &m), key, err
	}
	return none, nil, errors.New("it has no head")
}

// Tunnel is a loopback port that leads to a cluster's API.
type Tunnel struct {
	listener net.Listener
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// Open listens on a loopback port and forwards each connection. It looks up the head for each one, so the tunnel
// survives a lost SSH connection and a new address of the head. failed gets the error of a failed connection, unless it
// repeats the last one; it is not called concurrently.
func Open(s *store.Store, pool *remote.Pool, ref api.Ref, port int, failed func(error)) (*Tunnel, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("tunnel to cluster %s: cannot listen on port %d: %w", ref.Name, port, err)
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

// Close closes the tunnel and its connections.
func (t *Tunnel) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.done.Wait()
	return err
}

func (t *Tunnel) serveConnections(ctx context.Context, dial func(context.Context) (net.Conn, error),
	failures *failureReporter) {
	for {
		c, err := t.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil { // for example too many open files, which passes
			failures.reportFailure(err)
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
				failures.reportFailure(err)
				return
			}
			failures.clearFailure()
			defer out.Close()
			relay.Streams(ctx, c, out)
		})
	}
}

// failureReporter reports why connections fail, without repeating the last reason: a watching kubectl retries again and
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
