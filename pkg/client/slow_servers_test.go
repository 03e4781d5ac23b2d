package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// gate forwards connections to a server. Closed, it accepts connections and forwards nothing, like a busy computer.
type gate struct {
	listener net.Listener
	mu       sync.Mutex
	changed  *sync.Cond
	open     bool
	conns    []net.Conn
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l}
	g.changed = sync.NewCond(&g.mu)
	t.Cleanup(g.cut)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, in, out)
			g.mu.Unlock()
			go g.forward(in, out)
			go g.forward(out, in)
		}
	}()
	return g
}

func (g *gate) address() string { return g.listener.Addr().String() }

func (g *gate) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.mu.Lock()
		for !g.open {
			g.changed.Wait()
		}
		g.mu.Unlock()
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// setOpen lets everything through from now on, or nothing.
func (g *gate) setOpen(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	g.changed.Broadcast()
}

// cut ends all connections, and refuses others.
func (g *gate) cut() {
	_ = g.listener.Close()
	g.setOpen(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
}

// newGatedClient returns a client that reaches Temporal and etcd through gates.
func newGatedClient(t *testing.T) (c *Client, temporal, etcd *gate) {
	t.Helper()
	c = newClient(t)
	temporal = newGate(t, c.cfg.Temporal.Address)
	etcd = newGate(t, strings.TrimPrefix(c.cfg.Etcd.Endpoints[0], "https://"))
	c.cfg.Temporal.Address, c.cfg.Etcd.Endpoints = temporal.address(), []string{"https://" + etcd.address()}
	return c, temporal, etcd
}

func TestSlowServersDelayACreate(t *testing.T) {
	world.StartWorker(t)
	c, temporal, etcd := newGatedClient(t)
	var mu sync.Mutex
	notices := map[string]int{}
	c.SetNotice(func(text string) {
		mu.Lock()
		defer mu.Unlock()
		what, _, _ := strings.Cut(text, " at ")
		notices[what]++
		if g := map[string]*gate{"etcd": etcd, "Temporal": temporal}[what]; notices[what] == 1 {
			g.setOpen(true) // after it was given up, if slow servers were not waited for
		}
	})
	if _, err := c.CreateCluster(t.Context(), newWantedCluster("delayed"), CreateOptions{}); err != nil {
		t.Errorf("the create failed: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if notices["etcd"] == 0 || notices["Temporal"] == 0 {
		t.Errorf("notices %v", notices)
	}
}

func TestSlowEtcdDelaysACall(t *testing.T) {
	c, _, etcd := newGatedClient(t)
	etcd.setOpen(true)
	s, err := c.ConnectStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	etcd.setOpen(false)
	var noticed atomic.Bool
	c.SetNotice(func(string) {
		noticed.Store(true)
		etcd.setOpen(true)
	})
	if _, err := s.ReadCluster(t.Context(), "none"); !isClusterMissing(err) {
		t.Errorf("the call failed: %v", err)
	}
	if !noticed.Load() {
		t.Error("the call was not slow")
	}
}

func TestRecordedCreateAndDeleteAreDeferredWhileTemporalIsDown(t *testing.T) {
	world.StartWorker(t)
	c, temporal, etcd := newGatedClient(t)
	temporal.setOpen(true)
	etcd.setOpen(true)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("deferred"), CreateOptions{
		Accept: func(*operation.WorkerInfo) error { temporal.cut(); return nil }})
	var deferred *DeferredError
	if !errors.As(err, &deferred) || created.Cluster == nil || phaseOf(t, "deferred") != api.PhaseInit ||
		!strings.Contains(err.Error(), "cluster deferred is recorded") {
		t.Fatalf("%+v, %v", created, err)
	}
	ref := created.Cluster.Ref()
	waiting := newClient(t)
	var notices lockedbuffer.Buffer
	ready := make(chan error, 1)
	go func() {
		_, err := waiting.AwaitReady(t.Context(), ref, patience, func(p Progress) {
			fmt.Fprintln(&notices, p.Notice)
		})
		ready <- err
	}()
	eventually.Holds(t, "the notice", func() bool { return strings.Contains(notices.String(), "has not started yet") })
	// what a sweep does
	if err := waiting.startOperation(t.Context(), waiting.temporal, "deferred", operation.WorkflowProvision, "",
		operation.ProvisionInput{Cluster: ref}); err != nil {
		t.Fatal(err)
	}
	if err := <-ready; err != nil {
		t.Errorf("the wait failed: %v", err)
	}
	err = c.DeleteCluster(t.Context(), ref, false, ignoreText)
	if !errors.As(err, &deferred) || phaseOf(t, "deferred") != api.PhaseDeleting {
		t.Errorf("delete: %v", err)
	}
	if err := waiting.DeleteCluster(t.Context(), ref, false, ignoreText); err != nil {
		t.Error(err)
	}
	eventually.Holds(t, "it is gone", func() bool {
		_, err := world.Store.ReadCluster(t.Context(), "deferred")
		return isClusterMissing(err)
	})
}

func TestOnlyACallOfASlowTemporalIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(ctx context.Context, try int) error
		tries  int
		fails  bool
		took   time.Duration
	}{
		"answers": {func(context.Context, int) error { return nil }, 1, false, 0},
		"third try": {func(ctx context.Context, try int) error {
			return waitUnless(ctx, try == 3)
		}, 3, false, 15 * time.Second},
		"busy": {func(_ context.Context, try int) error {
			if try == 1 {
				return serviceerror.NewUnavailable("shard status unknown")
			}
			return nil
		}, 2, false, 0},
		"refuses": {func(context.Context, int) error { return serviceerror.NewNotFound("none") }, 1, true, 0},
		"hung":    {func(ctx context.Context, _ int) error { return waitUnless(ctx, false) }, 5, true, slowTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, tries, begun := New(&config.Config{}, time.Now), 0, time.Now()
			err := client.callTemporal(t.Context(), dialTimeout, func(ctx context.Context) error {
				tries++
				return c.answer(ctx, tries)
			})
			if took := time.Since(begun); tries != c.tries || (err != nil) != c.fails || took != c.took {
				t.Errorf("%s: %d tries in %s: %v", name, tries, took, err)
			}
		})
	}
	tries := 0
	ctx, cancel := context.WithCancel(withoutPatience(t.Context()))
	defer cancel()
	_ = New(&config.Config{}, time.Now).callTemporal(ctx, time.Millisecond, func(ctx context.Context) error {
		tries++
		return waitUnless(ctx, false)
	})
	if tries != 1 {
		t.Errorf("%d tries without patience", tries)
	}
}

// waitUnless returns at once if done is true, and otherwise waits until the context ends.
func waitUnless(ctx context.Context, done bool) error {
	if done {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
