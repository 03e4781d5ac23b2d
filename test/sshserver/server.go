// Package sshserver is an SSH server in the test's process: it runs commands on this computer as OpenSSH does, and
// tests make it refuse, hang up, freeze or lie at a chosen point. It also runs the server of OpenSSH itself.
package sshserver

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/freeport"
)

// Server is one simulated machine.
type Server struct {
	// Target logs in to it, with its host key pinned; Key is the private key that it accepts.
	Target remote.Target
	Key    []byte
	// Env is added to the environment of every command, such as a PATH with stand-ins first.
	Env []string
	// Enter is put before every command, such as nsenter into the machine's own file system.
	Enter []string
	// Shell is the login shell, by default sh. Startup is its script before every command, like .bashrc.
	Shell, Startup string
	// CutAfter hangs up each connection after this many incoming bytes; 0 is never.
	CutAfter atomic.Int64
	// HangUpAtLogin closes the connection during authentication, like a machine that is still booting.
	HangUpAtLogin atomic.Bool
	// RefuseForwards refuses port forwards, like AllowTcpForwarding no in OpenSSH.
	RefuseForwards atomic.Bool
	// Forward is the target of all port forwards, if it is set.
	Forward string
	// Logins counts the connections that started a login.
	Logins atomic.Int64

	hostKey ssh.Signer
	hooks   Hooks

	mu         sync.Mutex
	listener   net.Listener
	conns      map[*countedConn]bool
	stopped    bool
	authorized []string // public keys in wire format
	frozen     chan struct{}
}

// Options configure a server that is started without a test.
type Options struct {
	// Address is the address to listen on. Port is the port there; 0 is a free one.
	Address string
	Port    int
	// HostKey is a private key in PEM; AuthorizedKey is the key that is allowed to log in, as in authorized_keys.
	HostKey       []byte
	AuthorizedKey string
	Hooks         Hooks
}

// Hooks are called for each connection or command. Any of them can be nil.
type Hooks struct {
	// IsSilent reports whether a connection is accepted and never answered.
	IsSilent func() bool
	// ShowHostKey returns the host key to show.
	ShowHostKey func(own ssh.Signer) ssh.Signer
	// BuildArgv returns the program that runs a command, in place of Enter, Shell and Startup.
	BuildArgv func(command string) []string
	// RunCommand answers a command in this process, in place of a program, and returns its exit status.
	RunCommand func(command string, stdin io.Reader, stdout, stderr io.Writer) uint32
	// WrapStdin returns a command's standard input; it can close the connection.
	WrapStdin func(input io.Reader, conn net.Conn) io.Reader
}

// New starts a server. The caller stops it.
func New(o Options) (*Server, error) {
	signer, err := ssh.ParsePrivateKey(o.HostKey)
	if err != nil {
		return nil, err
	}
	s := &Server{hostKey: signer, hooks: o.Hooks, conns: map[*countedConn]bool{}}
	if err := s.AdmitKey(o.AuthorizedKey); err != nil {
		return nil, err
	}
	s.Target.Address, s.Target.Port = o.Address, o.Port
	return s, s.listen()
}

// Start starts a server for a test; it stops with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	hostPEM, hostKey := newKeyPair(t)
	key, authorized := newKeyPair(t)
	s, err := New(Options{Address: "127.0.0.1", HostKey: hostPEM, AuthorizedKey: authorized})
	if err != nil {
		t.Fatal(err)
	}
	s.Key = key
	s.Target.Name, s.Target.User, s.Target.HostKey = "sky-test-0", "root", hostKey
	t.Cleanup(s.Stop)
	return s
}

// AdmitKey lets one more key log in.
func (s *Server) AdmitKey(authorized string) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(authorized))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorized = append(s.authorized, string(key.Marshal()))
	return nil
}

// Listen listens again after Stop, on the same port.
func (s *Server) Listen(t testing.TB) {
	t.Helper()
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) listen() error {
	l, err := freeport.ListenAgain(net.JoinHostPort(s.Target.Address, strconv.Itoa(s.Target.Port)))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.Target.Port, s.stopped = l, l.Addr().(*net.TCPAddr).Port, false
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serveConnection(&countedConn{Conn: c, s: s})
		}
	}()
	return nil
}

// Stop stops listening and hangs up all connections.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.listener.Close()
	s.mu.Unlock()
	s.HangUp()
}

// HangUp cuts all connections.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Freeze makes the server stop reading and answering, like a machine without power, until the returned function is
// called.
func (s *Server) Freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan struct{})
	s.frozen = ch
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.frozen = nil
		close(ch)
	})
}

func newKeyPair(t testing.TB) ([]byte, string) {
	t.Helper()
	private, public, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// AdmitKeyOf lets the key of another server log in too, as all machines of a cluster accept its key.
func (s *Server) AdmitKeyOf(other *Server) error {
	public, err := remote.PublicKeyOf(other.Key)
	if err != nil {
		return err
	}
	return s.AdmitKey(public)
}
