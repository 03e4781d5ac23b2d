package sshserver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// trackConnection records a connection, so that HangUp closes it. It returns false once the server has stopped.
func (s *Server) trackConnection(c *countedConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.conns[c] = true
	}
	return !s.stopped
}

// checkKey accepts authorized keys only.
func (s *Server) checkKey(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.authorized, string(key.Marshal())) {
		return nil, errors.New("not a key that is known here")
	}
	return nil, nil
}

func (s *Server) shownHostKey() ssh.Signer {
	if s.hooks.ShowHostKey != nil {
		return s.hooks.ShowHostKey(s.hostKey)
	}
	return s.hostKey
}

// buildArgv returns the program that runs a command: the login shell, in the machine's namespaces.
func (s *Server) buildArgv(command string) []string {
	if s.hooks.BuildArgv != nil {
		return s.hooks.BuildArgv(command)
	}
	if s.Startup != "" {
		command = s.Startup + "\n" + command
	}
	return append(slices.Clone(s.Enter), cmp.Or(s.Shell, "sh"), "-c", command)
}

func (s *Server) serveConnection(c *countedConn) {
	if !s.trackConnection(c) {
		c.Close()
		return
	}
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if s.hooks.IsSilent != nil && s.hooks.IsSilent() {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	config := ssh.ServerConfig{PublicKeyCallback: s.checkKey}
	config.AddHostKey(s.shownHostKey())
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
		go s.serveSession(c, channel, requests)
	}
}

// serveSession runs the one command of a session. As with OpenSSH, only its standard input closes when the channel
// does.
func (s *Server) serveSession(c *countedConn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	var pty *terminal
	defer func() { pty.hangUp() }()
	for r := range requests {
		var payload struct{ Command string }
		switch r.Type {
		case "pty-req":
			var err error
			pty, err = openTerminal(r.Payload)
			_ = r.Reply(err == nil, nil)
			continue
		case "exec":
			if err := ssh.Unmarshal(r.Payload, &payload); err != nil {
				_ = r.Reply(false, nil)
				return
			}
		case "shell":
		default:
			_ = r.Reply(r.Type == "signal", nil)
			continue
		}
		_ = r.Reply(true, nil)
		go pty.obeyRequests(requests)
		status := uint32(0)
		if pty != nil {
			status = s.runInTerminal(payload.Command, pty, channel)
		} else {
			status = s.runCommand(payload.Command, c, channel)
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (s *Server) runCommand(command string, c *countedConn, channel ssh.Channel) uint32 {
	if s.hooks.RunCommand != nil {
		return s.hooks.RunCommand(command, channel, channel, channel.Stderr())
	}
	argv := s.buildArgv(command)
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
	input := io.Reader(channel)
	if s.hooks.WrapStdin != nil {
		input = s.hooks.WrapStdin(channel, c)
	}
	go func() {
		_, _ = io.Copy(stdin, input)
		stdin.Close()
	}()
	return toExitStatus(cmd.Wait())
}

func toExitStatus(err error) uint32 {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return uint32(max(exit.ExitCode(), 0)) //nolint:gosec // an exit code is a byte
	case err != nil:
		return 255
	}
	return 0
}
