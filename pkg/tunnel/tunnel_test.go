package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/pkg/tunnel"
	"github.com/sky-shift/skyctl/test/etcdserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/sshserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

var stores atomic.Int64

func newStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{
		Endpoints: []string{etcd}, Prefix: fmt.Sprintf("/%d", stores.Add(1)),
		SecretsKey: bytes.Repeat([]byte{7}, secretbox.KeySize), DialTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// hello stands in for an API server: it answers every message with its name.
func hello(t *testing.T, name string) string {
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
				said, _ := io.ReadAll(c)
				_, _ = fmt.Fprintf(c, "%s hears %s", name, said)
			}()
		}
	}()
	return l.Addr().String()
}

// cluster stores a cluster whose head is the SSH server.
func cluster(t *testing.T, s *store.Store, name string, at *sshserver.Server) *api.Cluster {
	t.Helper()
	c := api.NewCluster(name, "uid-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil,
		time.Now())
	c, err := s.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m := api.NewMachine(name, 0, "", "aaaaa", api.Placement{}, time.Now())
	m.Address, m.SSHPort, m.SSHUser = at.Target.Address, at.Target.Port, at.Target.User
	m.HostKey, m.State = at.Target.HostKey, api.MachineReady
	if err := s.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutSecret(t.Context(), c.Ref(), store.SecretSSHKey, at.Key); err != nil {
		t.Fatal(err)
	}
	return c
}

// keep runs Keep until the returned function is called.
func keep(t *testing.T, s *store.Store, log io.Writer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	pool := remote.NewPool(0)
	var done sync.WaitGroup
	done.Go(func() { tunnel.KeepOpen(ctx, s, pool, slog.New(slog.NewTextHandler(log, nil))) })
	stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
		pool.Close()
	})
	t.Cleanup(stop)
	return stop
}

// ask sends a message through a loopback port and returns the answer.
func ask(port int, say string) (string, error) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, say); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	all, err := io.ReadAll(c)
	return string(all), err
}

// until polls a port until it returns an answer.
func until(t *testing.T, port int, want string) {
	t.Helper()
	eventually.Succeeds(t, "the answer at the port", func() error {
		if got, err := ask(port, "kubectl"); got != want {
			return fmt.Errorf("port %d returns %q (%v), want %q", port, got, err, want) //nolint:errorlint // may be nil
		}
		return nil
	})
}

func closed(port int) bool {
	_, err := ask(port, "x")
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func untilClosed(t *testing.T, port int) {
	t.Helper()
	eventually.Holds(t, fmt.Sprintf("port %d is closed", port), func() bool { return closed(port) })
}

func TestTunnelSurvivesRestartsAndEndsWithItsCluster(t *testing.T) {
	s, head := newStore(t), sshserver.Start(t)
	head.Forward = hello(t, "prod")
	c := cluster(t, s, "prod", head)
	stop := keep(t, s, io.Discard)
	port, err := tunnel.ReservePort(t.Context(), s, c.Ref(), true)
	if err != nil {
		t.Fatal(err)
	}
	until(t, port, "prod hears kubectl")
	if n := head.Logins.Load(); n != 1 {
		t.Errorf("%d logins, want one connection for all streams of the tunnel", n)
	}

	head.HangUp()
	until(t, port, "prod hears kubectl")
	head.Stop()
	if got, err := ask(port, "x"); got != "" {
		t.Errorf("a stopped head answers %q, %v", got, err)
	}
	head.Listen(t)
	until(t, port, "prod hears kubectl")

	stop()
	if !closed(port) {
		t.Error("the port is open although no keeper runs")
	}
	keep(t, s, io.Discard)
	until(t, port, "prod hears kubectl")
	if again, err := tunnel.ReservePort(t.Context(), s, c.Ref(), true); err != nil || again != port {
		t.Errorf("the port became %d, %v", again, err)
	}

	if err := s.DeleteCluster(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	untilClosed(t, port)
}

func TestEachClusterHasItsOwnTunnel(t *testing.T) {
	s := newStore(t)
	keep(t, s, io.Discard)
	ports := map[int]string{}
	for _, name := range []string{"one", "two", "three"} {
		head := sshserver.Start(t)
		head.Forward = hello(t, name)
		port, err := tunnel.ReservePort(t.Context(), s, cluster(t, s, name, head).Ref(), true)
		if err != nil {
			t.Fatal(err)
		}
		ports[port] = name
	}
	if len(ports) != 3 {
		t.Fatalf("three clusters have the ports %v", ports)
	}
	for port, name := range ports {
		until(t, port, name+" hears kubectl")
	}
}

func TestTunnelConnectsOnlyToThePinnedMachine(t *testing.T) {
	s, head, other := newStore(t), sshserver.Start(t), sshserver.Start(t)
	head.Forward, other.Forward = hello(t, "prod"), hello(t, "an impostor")
	// all but its host key
	head.Target.Address, head.Target.Port, head.Key = other.Target.Address, other.Target.Port, other.Key
	c := cluster(t, s, "prod", head)
	port, err := tunnel.ReservePort(t.Context(), s, c.Ref(), true)
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(0)
	defer pool.Close()
	why := make(chan error, 10)
	tun, err := tunnel.Open(s, pool, c.Ref(), port, func(err error) { why <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	for range 3 {
		if got, _ := ask(port, "kubectl"); got != "" {
			t.Fatalf("connected to %q", got)
		}
	}
	var mismatch *remote.HostKeyMismatch
	if err := <-why; !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "tunnel to cluster prod") {
		t.Errorf("the reason is %v", err)
	}
	if len(why) > 0 {
		t.Errorf("the same reason was reported again: %v", <-why)
	}
}

func TestBusyPortIsReportedAndUsedOnceFree(t *testing.T) {
	s, head := newStore(t), sshserver.Start(t)
	head.Forward = hello(t, "prod")
	c := cluster(t, s, "prod", head)
	port, err := tunnel.ReservePort(t.Context(), s, c.Ref(), true)
	if err != nil {
		t.Fatal(err)
	}
	squatter, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	log := &lockedbuffer.Buffer{}
	keep(t, s, log)
	eventually.Holds(t, "the log names the busy port", func() bool {
		return strings.Contains(log.String(), fmt.Sprintf("cannot listen on port %d", port))
	})
	squatter.Close()
	until(t, port, "prod hears kubectl")
}

func TestClustersGetDifferentPorts(t *testing.T) {
	s, head := newStore(t), sshserver.Start(t)
	first, second := cluster(t, s, "a", head), cluster(t, s, "b", head)
	port, err := tunnel.ReservePort(t.Context(), s, first.Ref(), false)
	if err != nil {
		t.Fatal(err)
	}
	// As if both had chosen the port at the same time.
	if _, err := s.UpdateCluster(t.Context(), second.Ref(), func(c *api.Cluster) error {
		c.Status.TunnelPort = port
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept, err := tunnel.ReservePort(t.Context(), s, first.Ref(), false); err != nil || kept != port {
		t.Errorf("the first got %d, %v; it had %d", kept, err, port)
	}
	if other, err := tunnel.ReservePort(t.Context(), s, second.Ref(), false); err != nil || other == port {
		t.Errorf("the second got %d, %v", other, err)
	}
	// A port that another program uses is not chosen.
	third := cluster(t, s, "c", head)
	would, err := tunnel.ReservePort(t.Context(), s, third.Ref(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateCluster(t.Context(), third.Ref(), func(c *api.Cluster) error {
		c.Status.TunnelPort = 0
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", would))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := tunnel.ReservePort(t.Context(), s, third.Ref(), true); err != nil || got == would {
		t.Errorf("got %d, %v, which is in use", got, err)
	}
}

func TestNoTunnelWithoutAReachableHead(t *testing.T) {
	s, head := newStore(t), sshserver.Start(t)
	c := cluster(t, s, "prod", head)
	pool := remote.NewPool(0)
	defer pool.Close()
	if _, err := s.UpdateMachine(t.Context(), c.Ref(), 0, "aaaaa", func(m *api.Machine) error {
		m.State = api.MachineGone
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := tunnel.DialAPI(t.Context(), s, pool, c.Ref()); err == nil ||
		!strings.Contains(err.Error(), "sky-prod-0 cannot be reached: it is Gone") {
		t.Errorf("a head that is gone: %v", err)
	}
	var none *store.NotFoundError
	if _, err := tunnel.DialAPI(t.Context(), s, pool, api.Ref{Name: "prod", UID: "another"}); !errors.As(err, &none) {
		t.Errorf("another cluster of that name: %v", err)
	}
	if n := head.Logins.Load(); n != 0 {
		t.Errorf("%d logins", n)
	}
}

func TestTunnelGoesThroughTheBastionOfTheCluster(t *testing.T) {
	s, head, bastion := newStore(t), sshserver.Start(t), sshserver.Start(t)
	head.Forward, bastion.Forward = hello(t, "prod"), fmt.Sprintf("127.0.0.1:%d", head.Target.Port)
	c := cluster(t, s, "prod", head)
	if _, err := s.UpdateMachine(t.Context(), c.Ref(), 0, "aaaaa", func(m *api.Machine) error {
		m.Address, m.SSHPort = "192.0.2.7", 22
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Spec.SSH = api.SSHAccess{ProxyJump: fmt.Sprintf("root@127.0.0.1:%d", bastion.Target.Port),
			ProxyJumpHostKey: bastion.Target.HostKey, ProxyJumpSecret: "bastion"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(0)
	defer pool.Close()
	pool.SetRoutes(remote.Routes{ReadKey: func(context.Context, string) ([]byte, error) { return bastion.Key, nil }})
	conn, err := tunnel.DialAPI(t.Context(), s, pool, c.Ref())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if bastion.Logins.Load() != 1 || head.Logins.Load() != 1 {
		t.Errorf("%d logins to the bastion, %d to the head", bastion.Logins.Load(), head.Logins.Load())
	}
}
