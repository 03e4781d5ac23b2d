package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/server/team"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// unreachable is an address of documentation (RFC 5737): a client that connects by itself fails.
const unreachable = "192.0.2.7"

// scene is a team's gateway with the cluster "far".
type scene struct {
	t       *testing.T
	dir     string // of skyd team certificates
	server  *gateway.Server
	cluster *api.Cluster
	lookups atomic.Int64
	log     lockedbuffer.Buffer
}

// newScene starts a gateway. Each machine is at the address of an SSH server or another listener.
func newScene(t *testing.T, maxConnections int, addresses ...net.Addr) *scene {
	t.Helper()
	return newSceneWith(t, gateway.Options{MaxConnections: maxConnections}, addresses...)
}

// newSceneWith is newScene with further options of the gateway.
func newSceneWith(t *testing.T, o gateway.Options, addresses ...net.Addr) *scene {
	t.Helper()
	s := &scene{t: t, dir: newCertificates(t)}
	s.cluster = api.NewCluster("far", "uid-far", api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, time.Now())
	for i, a := range addresses {
		m := api.NewMachine("far", i, "", "aaaaa", api.Placement{}, time.Now())
		at := a.(*net.TCPAddr)
		m.Address, m.SSHPort, m.HostKey, m.State = at.IP.String(), at.Port, "pinned", api.MachineReady
		s.cluster.Status.Machines = append(s.cluster.Status.Machines, m)
	}
	secured, err := s.loadSettings("worker").GatewayServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(0)
	t.Cleanup(pool.Close)
	o.Listen, o.TLS, o.ReadCluster, o.Dial = cmp.Or(o.Listen, "127.0.0.1:0"), secured, s.readCluster, pool.DialMachine
	o.Version, o.Log = "v1.2.3", slog.New(slog.NewTextHandler(&s.log, nil))
	if s.server, err = gateway.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

// newCertificates creates a team's certificates, and one for its member ann.
func newCertificates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := (team.Certificates{Dir: dir, Now: time.Now()}).Ensure(); err != nil {
		t.Fatal(err)
	}
	authority := pki.Pair{Cert: filepath.Join(dir, "ca", "ca.crt"), Key: filepath.Join(dir, "ca", "ca.key")}
	ca, err := pki.LoadAuthority(authority, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.IssueCertificate(pki.Leaf{Subject: "ann", Client: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "ann"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ca.crt": ca.CertificatePEM(), "tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, "ann", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadSettings returns the settings of who has a certificate of the team.
func (s *scene) loadSettings(who string) *config.Config {
	s.t.Helper()
	file := func(name string) string { return filepath.Join(s.dir, who, name) }
	env := map[string]string{config.EnvDir: s.t.TempDir(), "SKYCTL_ETCD_ENDPOINTS": "https://etcd:2379",
		"SKYCTL_TEMPORAL_ADDRESS": "temporal:7233", "SKYCTL_ETCD_TLS_CA": file("ca.crt"),
		"SKYCTL_ETCD_TLS_CERT": file("tls.crt"), "SKYCTL_ETCD_TLS_KEY": file("tls.key")}
	cfg, err := config.Load(nil, func(name string) string { return env[name] })
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *scene) readCluster(_ context.Context, ref api.Ref, indexes ...int) (*api.Cluster, error) {
	s.lookups.Add(1)
	if ref.Name == "panic" {
		panic("a fault of the look-up")
	}
	if ref != s.cluster.Ref() {
		return nil, &store.NotFoundError{Cluster: ref.Name}
	}
	c := *s.cluster
	c.Status.Machines = nil
	for _, m := range s.cluster.Status.Machines {
		if slices.Contains(indexes, m.Index) {
			c.Status.Machines = append(c.Status.Machines, m)
		}
	}
	return &c, nil
}

// newClient returns ann's client.
func (s *scene) newClient() gateway.Client {
	s.t.Helper()
	own, err := s.loadSettings("ann").GatewayClientTLS()
	if err != nil {
		s.t.Fatal(err)
	}
	return gateway.Client{Address: s.server.Address(), TLS: own}
}

// dial connects to a machine of the cluster that listen made, and reads its greeting.
func (s *scene) dial(machine string) (net.Conn, error) {
	s.t.Helper()
	c, err := s.newClient().DialMachine(s.t.Context(), machine, s.cluster.Metadata.UID)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { c.Close() })
	got := make([]byte, len(greeting))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != greeting {
		s.t.Errorf("the machine says %q, %v; want %q", got, err, greeting)
	}
	return c, nil
}

// logIn logs in to a machine that is an SSH server, as skyctl does. The client's record has an unreachable address.
func (s *scene) logIn(server *sshserver.Server, index int, hostKey string) (*remote.Host, error) {
	s.t.Helper()
	pool := remote.NewPool(0)
	s.t.Cleanup(pool.Close)
	client := s.newClient()
	pool.SetRoutes(remote.Routes{Gateway: func(ctx context.Context, t remote.Target) (net.Conn, error) {
		return client.DialMachine(ctx, t.Name, t.ClusterUID)
	}})
	m := s.cluster.Status.Machines[index]
	m.Address, m.SSHPort, m.SSHUser, m.HostKey = unreachable, 22, "root", hostKey
	return pool.GetHost(s.t.Context(), sshtarget.Of(s.cluster, &m), server.Key)
}

func addressOf(s *sshserver.Server) net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(s.Target.Address), Port: s.Target.Port}
}

// listen returns a listener.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// greeting is what an SSH server says first.
const greeting = "SSH-2.0-test\r\n"

// machinePort stands for the SSH port of a machine: it says words to each client, which Accept then returns.
type machinePort struct {
	net.Listener
	greeted chan net.Conn
}

func newMachinePort(t *testing.T, words string) machinePort {
	t.Helper()
	p := machinePort{listen(t), make(chan net.Conn, 8)}
	go func() {
		for {
			c, err := p.Listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, words)
			p.greeted <- c
		}
	}()
	return p
}

func (p machinePort) Accept() (net.Conn, error) { return <-p.greeted, nil }

func TestCommandsAndStreamsPassThroughTheGateway(t *testing.T) {
	machine := sshserver.Start(t)
	s := newScene(t, 0, addressOf(machine))
	h, err := s.logIn(machine, 0, machine.Target.HostKey)
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 16<<20)
	_, _ = rand.Read(sent)
	var got bytes.Buffer
	exit, err := h.RunUserCommand(t.Context(), remote.UserCommand{Line: "cat; exit 7", Stdin: bytes.NewReader(sent),
		Stdout: &got, Stderr: io.Discard})
	if err != nil || exit != 7 || sha256.Sum256(got.Bytes()) != sha256.Sum256(sent) {
		t.Errorf("exit %d, %d bytes, %v", exit, got.Len(), err)
	}
	for _, want := range []string{"certificate=ann", "machine=sky-far-0", "cluster=far", "passes on a connection"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log has no %q: %s", want, &s.log)
		}
	}
}

func TestGatewayLeavesTheHostKeyToTheClient(t *testing.T) {
	machine, other := sshserver.Start(t), sshserver.Start(t)
	s := newScene(t, 0, addressOf(machine))
	_, err := s.logIn(machine, 0, other.Target.HostKey)
	if mismatch := new(remote.HostKeyMismatch); !errors.As(err, &mismatch) {
		t.Errorf("%v, want another host key", err)
	}
}

func TestOneDirectionEndsBeforeTheOther(t *testing.T) {
	l := newMachinePort(t, greeting)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c)
		_, _ = c.Write(append([]byte("after the end: "), all...))
	}()
	c, err := newScene(t, 0, l.Addr()).dial("sky-far-0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "question"); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "after the end: question" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGatewayRefusesWhatItCannotReach(t *testing.T) {
	gone, waiting, other := listen(t), listen(t), newMachinePort(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	gone.Close()
	s := newScene(t, 0, gone.Addr(), waiting.Addr(), other.Addr())
	s.cluster.Status.Machines[1].Address = ""
	for _, e := range []struct {
		machine, uid string
		status       int
		says         string
	}{
		{"sky-far-0", "uid-far", http.StatusBadGateway, "refused"},
		{"sky-far-1", "uid-far", http.StatusConflict, "machine sky-far-1 cannot be reached: it is Ready"},
		{"sky-far-2", "uid-far", http.StatusBadGateway, "no SSH server"},
		{"sky-far-7", "uid-far", http.StatusNotFound, `cluster far has no machine "sky-far-7"`},
		{"sky-far-0", "uid-before", http.StatusNotFound, "no cluster far with UID uid-before"},
		{"sky-near-0", "uid-far", http.StatusNotFound, "no cluster near with UID uid-far"},
		{"127.0.0.1", "1", http.StatusBadRequest, "MACHINE.CLUSTER-UID"},
	} {
		_, err := s.newClient().DialMachine(t.Context(), e.machine, e.uid)
		refused := new(gateway.RefusedError)
		if !errors.As(err, &refused) || refused.Status != e.status || !strings.Contains(err.Error(), e.says) {
			t.Errorf("%s of %s: %v, want status %d and %q", e.machine, e.uid, err, e.status, e.says)
		}
	}
}

func TestNothingReachesAServerThatWaitsForItsClient(t *testing.T) {
	l := listen(t)
	s := newScene(t, 0, l.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		cancel()
		all, _ := io.ReadAll(c)
		received <- all
	}()
	if c, err := s.newClient().DialMachine(ctx, "sky-far-0", "uid-far"); err == nil {
		c.Close()
		t.Error("it is passed on before the server shows that it is one of SSH")
	}
	if err := s.server.Close(); err != nil {
		t.Error(err)
	}
	if got := <-received; len(got) > 0 {
		t.Errorf("the server got %q", got)
	}
}

func TestOnlyCertificatesOfTheAuthorityAreServed(t *testing.T) {
	s := newScene(t, 0, listen(t).Addr())
	if version, err := s.newClient().ReadVersion(t.Context()); err != nil || version != "v1.2.3" {
		t.Errorf("ann: %q, %v", version, err)
	}
	if hungUp, err := net.Dial("tcp", s.server.Address()); err != nil || hungUp.Close() != nil {
		t.Error(err)
	}
	elsewhere := &scene{t: t, dir: newCertificates(t), server: s.server}
	anonymous, stranger, misled := s.newClient(), elsewhere.newClient(), elsewhere.newClient()
	anonymous.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{}, nil
	}
	stranger.TLS.RootCAs = s.newClient().TLS.RootCAs
	for says, c := range map[string]gateway.Client{"certificate required": anonymous,
		"does not accept the certificate of this computer": stranger, "has a certificate that does not fit": misled} {
		_, err := c.DialMachine(t.Context(), "sky-far-0", "uid-far")
		if silent := new(gateway.UnreachableError); !errors.As(err, &silent) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		if _, err := c.ReadVersion(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the version: %v, want %q", err, says)
		}
	}
	eventually.Holds(t, "the refusals of the anonymous client and the stranger are logged", func() bool {
		return strings.Count(s.log.String(), "the gateway refused a client") >= 4
	})
	if strings.Contains(s.log.String(), "EOF") {
		t.Errorf("who hangs up is logged: %s", &s.log)
	}
	if n := s.lookups.Load(); n != 0 {
		t.Errorf("%d machines were looked up", n)
	}
}

// What accepts the connection may be no gateway, and say nothing.
func TestReasonOfAnEndedAttemptIsNamed(t *testing.T) {
	s, silent := newScene(t, 0), listen(t)
	for what, try := range map[string]func(context.Context, gateway.Client) error{
		"a machine": func(ctx context.Context, c gateway.Client) error {
			_, err := c.DialMachine(ctx, "sky-far-0", "uid-far")
			return err
		},
		"the version": func(ctx context.Context, c gateway.Client) error {
			_, err := c.ReadVersion(ctx)
			return err
		},
	} {
		enough := errors.New("no more time for this")
		ctx, end := context.WithCancelCause(t.Context())
		go func() {
			if c, err := silent.Accept(); err == nil {
				end(enough)
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		c := s.newClient()
		c.Address = silent.Addr().String()
		if err := try(ctx, c); !errors.Is(err, enough) {
			t.Errorf("%s: %v, want the reason", what, err)
		}
		end(nil)
	}
}

func TestCertificateOfAClientCannotServeAGateway(t *testing.T) {
	s := newScene(t, 0)
	if _, err := s.loadSettings("ann").GatewayServerTLS(); err == nil ||
		!strings.Contains(err.Error(), "--gateway-host") {
		t.Errorf("%v", err)
	}
}

func TestStopEndsAllConnections(t *testing.T) {
	l := newMachinePort(t, greeting)
	s := newScene(t, 0, l.Addr())
	person, err := s.dial("sky-far-0")
	if err != nil {
		t.Fatal(err)
	}
	machine, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	if _, err := machine.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(person, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Close(); err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]net.Conn{"the person": person, "the machine": machine} {
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if _, err := s.dial("sky-far-0"); err == nil {
		t.Error("a stopped gateway passes on connections")
	}
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset by peer") }

func TestConnectionsAreBounded(t *testing.T) {
	l := newMachinePort(t, greeting)
	s := newScene(t, 1, l.Addr())
	first, err := s.dial("sky-far-0")
	if err != nil {
		t.Fatal(err)
	}
	refused := new(gateway.RefusedError)
	if _, err := s.dial("sky-far-0"); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v", err)
	}
	machine, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	machine.Close()
	eventually.Holds(t, "the next connection is passed on", func() bool {
		_, err := s.dial("sky-far-0")
		return err == nil
	})
}
