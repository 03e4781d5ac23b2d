package simcloud

import (
	"errors"
	"io"
	"net"
	"os/exec"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// sshServer is a host's SSH server: it lets one key in and runs commands in the host's namespaces.
type sshServer struct {
	listener net.Listener
	config   ssh.ServerConfig // without a host key: that depends on the lies
	key      ssh.Signer
	enter    []string
	lies     *sshFaults

	mu      sync.Mutex
	conns   map[net.Conn]bool
	stopped bool
	// admitted are further keys that may log in.
	admitted []string
}

// isAdmitted says whether a key was admitted after the start.
func (s *sshServer) isAdmitted(k ssh.PublicKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.admitted, string(k.Marshal()))
}

func newSSHServer(address string, hostKey []byte, authorized string, enter []string, lies *sshFaults) (*sshServer,
	error) {
	signer, err := ssh.ParsePrivateKey(hostKey)
	if err != nil {
		return nil, err
	}
	login, _, _, _, err := ssh.ParseAuthorizedKey([]byte(authorized))
	if err != nil {
		return nil, err
	}
	s := &sshServer{enter: enter, conns: map[net.Conn]bool{}, key: signer, lies: lies}
	s.config = ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(login.Marshal()) && !s.isAdmitted(k) {
			return nil, errors.New("not a key that is known here")
		}
		return nil, nil
	}}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(address, "0")); err != nil { //nolint:noctx // at once
		return nil, err
	}
	go s.acceptConnections()
	return s, nil
}

func (s *sshServer) listenPort() int { return s.listener.Addr().(*net.TCPAddr).Port }

// stop stops listening and cuts all connections.
func (s *sshServer) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cutConnections()
}

// cutConnections cuts all connections that there are.
func (s *sshServer) cutConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *sshServer) acceptConnections() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if s.trackConnection(c) {
			go s.serveConnection(c)
		}
	}
}

func (s *sshServer) trackConnection(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		_ = c.Close()
		return false
	}
	s.conns[c] = true
	return true
}

func (s *sshServer) serveConnection(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	if s.lies.isSilent() {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	config := s.config
	config.AddHostKey(s.lies.shownHostKey(s.key))
	conn, channels, requests, err := ssh.NewServerConn(c, &config)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		if wanted.ChannelType() != "session" {
			_ = wanted.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := wanted.Accept()
		if err != nil {
			return
		}
		go s.serveSession(c, channel, requests)
	}
}

// serveSession runs the one command of a session.
func (s *sshServer) serveSession(conn net.Conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		status := s.runCommand(exec.Command, conn, channel)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (s *sshServer) runCommand(command string, conn net.Conn, channel ssh.Channel) uint32 {
	argv := append(slices.Clone(s.enter), append(s.lies.shellEnvironment(), "sh", "-c",
		s.lies.shellCommand(command))...)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx,gosec // it ends with its standard input, or with the host
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
		_, _ = io.Copy(stdin, &cuttingReader{from: channel, lies: s.lies, conn: conn})
		_ = stdin.Close()
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
