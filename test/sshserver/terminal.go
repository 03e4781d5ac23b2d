package sshserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// terminal is the pseudo-terminal of a session; nil is none.
type terminal struct {
	near, far *os.File
	kind      string
}

// openTerminal opens the terminal that a client asks for (RFC 4254, 6.2).
func openTerminal(request []byte) (*terminal, error) {
	var want struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if err := ssh.Unmarshal(request, &want); err != nil {
		return nil, err
	}
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, n := &terminal{near: near, kind: want.Term}, 0
	err = t.control(func(fd int) (err error) {
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
		}
		return err
	})
	if err == nil {
		t.far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		near.Close()
		return nil, err
	}
	t.resize(want.Columns, want.Rows)
	return t, nil
}

// control calls change with the descriptor of the near end, which stays one that Close interrupts.
func (t *terminal) control(change func(fd int) error) error {
	c, err := t.near.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) { failed = change(int(fd)) })
	return errors.Join(err, failed)
}

func (t *terminal) resize(columns, rows uint32) {
	size := unix.Winsize{Col: uint16(columns), Row: uint16(rows)} //nolint:gosec // sizes of terminals are small
	_ = t.control(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size) })
}

// obeyRequests resizes the terminal, and hangs it up when the client closes the session.
func (t *terminal) obeyRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		var size struct{ Columns, Rows, Width, Height uint32 }
		if t != nil && r.Type == "window-change" && ssh.Unmarshal(r.Payload, &size) == nil {
			t.resize(size.Columns, size.Rows)
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
	t.hangUp()
}

// hangUp closes the near end, so that what runs in the terminal gets SIGHUP.
func (t *terminal) hangUp() {
	if t != nil {
		t.near.Close()
	}
}

// runInTerminal runs a command, or the login shell, in the terminal.
func (s *Server) runInTerminal(command string, t *terminal, channel ssh.Channel) uint32 {
	argv := append(slices.Clone(s.Enter), cmp.Or(s.Shell, "sh"))
	if command != "" {
		argv = s.buildArgv(command)
	}
	// As sshd does: tests may run where signals are ignored, as behind nohup or in a shell's background, and a shell
	// passes on what it was started with.
	argv = append([]string{"env", "--default-signal"}, argv...)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the hang-up of the terminal ends it
	cmd.Env = append(append(os.Environ(), "TERM="+t.kind), s.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.far, t.far, t.far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	t.far.Close()
	if err != nil {
		return 127
	}
	go func() { _, _ = io.Copy(t.near, channel) }()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		_, _ = io.Copy(channel, t.near) // ends when nothing has the terminal open any more
	}()
	status := toExitStatus(cmd.Wait())
	<-shown
	return status
}
