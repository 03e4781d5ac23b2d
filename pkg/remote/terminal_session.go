package remote

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// WindowSize is the size of a terminal in characters.
type WindowSize struct{ Columns, Rows int }

// TerminalSession is a session of a person with a terminal on a machine.
type TerminalSession struct {
	// Line is what the login shell runs; empty is an interactive login.
	Line string
	// Term is the type of the terminal, such as xterm-256color.
	Term string
	Size WindowSize
	// Resized sends each new size; nil if it never changes.
	Resized        <-chan WindowSize
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// terminalModes are the modes of a new terminal (RFC 4254, 8).
var terminalModes = ssh.TerminalModes{ssh.ECHO: 1, ssh.TTY_OP_ISPEED: 38400, ssh.TTY_OP_OSPEED: 38400}

// RunTerminalSession runs a session until its shell ends, and returns the exit status. If ctx or the connection ends
// first, the machine hangs up the terminal, which ends what runs there, and the error wraps the cause.
func (h *Host) RunTerminalSession(ctx context.Context, t TerminalSession) (exit int, err error) {
	const doing = "the terminal session"
	h.uses.beginUse()
	defer h.uses.endUse()
	s, err := h.newSession()
	if err != nil {
		return 0, h.lostError(doing, err)
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := t.startIn(s); err != nil {
		return 0, h.terminalError(ctx, doing, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	for {
		select {
		case size, open := <-t.Resized:
			if !open {
				t.Resized = nil
				continue
			}
			_ = s.WindowChange(size.Rows, size.Columns) // Wait reports a broken connection
		case err := <-ended:
			return h.terminalResult(ctx, doing, err)
		}
	}
}

func (t *TerminalSession) startIn(s *ssh.Session) error {
	stdin, err := s.StdinPipe()
	if err != nil {
		return err
	}
	s.Stdout, s.Stderr = t.Stdout, t.Stderr
	if err := s.RequestPty(t.Term, t.Size.Rows, t.Size.Columns, terminalModes); err != nil {
		return err
	}
	if t.Line == "" {
		err = s.Shell()
	} else {
		err = s.Start(t.Line)
	}
	go func() { // it can outlive the session, until the person presses a key
		_, _ = io.Copy(stdin, t.Stdin)
		_ = stdin.Close()
	}()
	return err
}

// terminalResult converts the end of a session into an exit status. A shell that a signal ended has the status that a
// POSIX shell shows for it.
func (h *Host) terminalResult(ctx context.Context, doing string, err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() != "":
		return 128 + signalNumbers[exit.Signal()], nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 0, h.terminalError(ctx, doing, err)
}

func (h *Host) terminalError(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return h.stoppedError(ctx, doing)
	}
	return h.lostError(doing, err)
}

// signalNumbers are those of POSIX for the signals of SSH (RFC 4254, 6.10).
var signalNumbers = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15}
