// Package sshserver is an SSH server in the test's own process: it runs commands on this machine as OpenSSH would, and
// can be made to refuse, hang up, freeze or lie at a given point.
package sshserver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"golang.org/x/crypto/ssh"
)

// Server is one simulated machine.
type Server struct {
	// Target logs in to it, with its host key pinned; Key is the private key that it accepts.
	Target remote.Target
	Key    []byte
	// Env is added to the environment of every command, such as a PATH on which stand-ins come first.
	Env []string
	// Enter is put before every command, such as nsenter into a file system of the machine's own.
	Enter []string
	// Shell is the login shell; sh where it is "". Startup is what it runs before every command, as .bashrc.
	Shell, Startup string
	// CutAfter hangs up each connection once that many bytes came in; 0 is never.
	CutAfter atomic.Int64
	// HangUpAtLogin makes the server close the connection where it should say whether the key is good, as a machine
	// does that is still booting.
	HangUpAtLogin atomic.Bool
	// RefuseForwards makes the server pass no connections on, as OpenSSH does with AllowTcpForwarding no.
	RefuseForwards atomic.Bool
	// Forward, where it is set, is where every connection that is passed on leads, whatever was asked for.
	Forward string
	// Logins counts the connections that came to a login.
	Logins atomic.Int64

	config *ssh.ServerConfig
	listen net.Listener
	mu     sync.Mutex
	conns  map[*countedConn]bool
	frozen chan struct{}
}

// Start starts a server on a port of its own; it ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	hostPEM, hostKey := newKeyPair(t)
	s := &Server{conns: map[*countedConn]bool{}}
	var accepted string
	s.Key, accepted = newKeyPair(t)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions,
		error) {
		if form := string(ssh.MarshalAuthorizedKey(k)); form != accepted+"\n" {
			return nil, errors.New("not a key that is known here")
		}
		return nil, nil
	}}
	signer, err := ssh.ParsePrivateKey(hostPEM)
	if err != nil {
		t.Fatal(err)
	}
	s.config.AddHostKey(signer)
	s.Target = remote.Target{Name: "sky-test-0", Address: "127.0.0.1", User: "root", HostKey: hostKey}
	s.Listen(t)
	t.Cleanup(s.Stop)
	return s
}

// Listen starts to listen, on the port of before if there was one.
func (s *Server) Listen(t testing.TB) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.Target.Port})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listen, s.Target.Port = l, l.Addr().(*net.TCPAddr).Port
	s.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serveConnection(&countedConn{Conn: c, s: s})
		}
	}()
}

// Stop stops listening and hangs up all connections.
func (s *Server) Stop() {
	s.mu.Lock()
	s.listen.Close()
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

// Freeze makes the server neither read nor answer any more, as a machine does whose power is gone, until the returned
// function is called.
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

func (s *Server) serveConnection(c *countedConn) {
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	config := *s.config
	if s.HangUpAtLogin.Load() {
		config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			c.Close()
			return nil, errors.New("still booting")
		}
	}
	s.Logins.Add(1)
	sc, chans, reqs, err := ssh.NewServerConn(c, &config)
	if err != nil {
		return
	}
	defer sc.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		switch ch.ChannelType() {
		case "session":
		case "direct-tcpip":
			go s.forwardChannel(ch)
			continue
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "neither a session nor a connection to pass on")
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		go s.serveSession(channel, requests)
	}
}

// serveSession runs the one command of a session. As with OpenSSH, its standard input ends when the channel does, and
// nothing else happens to it then.
func (s *Server) serveSession(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "signal", nil)
			continue
		}
		var payload struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &payload); err != nil {
			_ = r.Reply(false, nil)
			return
		}
		_ = r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		status := s.runCommand(payload.Command, channel)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (s *Server) runCommand(command string, channel ssh.Channel) uint32 {
	shell := cmp.Or(s.Shell, "sh")
	if s.Startup != "" {
		command = s.Startup + "\n" + command
	}
	argv := append(slices.Clone(s.Enter), shell, "-c", command)
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_, _ = io.WriteString(channel.Stderr(), err.Error())
		return 127
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		stdin.Close()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return uint32(max(exit.ExitCode(), 0)) //nolint:gosec // an exit code is a byte
	case err != nil:
		return 255
	}
	return 0
}

// countedConn counts what comes in, and obeys Freeze.
type countedConn struct {
	net.Conn
	s    *Server
	came atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.awaitThaw()
	n, err := c.Conn.Read(p)
	c.awaitThaw()
	if limit := c.s.CutAfter.Load(); limit > 0 && c.came.Add(int64(n)) > limit {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.awaitThaw()
	return c.Conn.Write(p)
}

func (c *countedConn) awaitThaw() {
	c.s.mu.Lock()
	frozen := c.s.frozen
	c.s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func newKeyPair(t testing.TB) ([]byte, string) {
	t.Helper()
	private, public, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}
