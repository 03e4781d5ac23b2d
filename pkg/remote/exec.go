package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A script is sent over the standard input of the session, never in an argument that other users of the machine can
// read. The machine reads exactly the length of the script and runs it as one compound command, so that a truncated
// script is a syntax error and no part of it runs. The mark that frames its output precedes it (see output_frame.go).
//
// After the script, the stream carries either its input (bootData), or nothing until the connection ends (bootScript):
// a watcher waits for that and kills the process group, so that nothing keeps running after its caller was cancelled or
// killed. setsid gives the script its own group. When the script exits, processes that it left running are killed
// within a second, even if they ignore SIGTERM; they would keep the session open.
//
// The login shell parses the command first, and can be any shell: a command in single quotes, without quotes,
// backslashes, exclamation marks or line breaks, means the same to a POSIX shell, zsh, csh and fish. Settings of the
// login shell that affect programs (umask, variables that change their output) are reset.
const (
	bootEnv = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL=C PATH; umask 022; ` +
		`unset CDPATH ENV BASH_ENV POSIXLY_CORRECT GREP_OPTIONS TAR_OPTIONS XZ_OPT GZIP; `
	bootRead = `read -r _ _ m; [ ${#m} = %d ] || exit 126; s=$(head -c %d) || exit 126; `
	bootPath = bootEnv + bootRead
	bootOpen = `echo "$m<"; echo "$m<" >&2; `
	bootRun  = bootOpen + `(eval "$s"); s=$?; trap "" TERM PIPE; kill -TERM 0; echo "$m>$s"; echo "$m>$s" >&2; ` +
		bootEnd
	bootEnd    = `(exec >/dev/null 2>&1 </dev/null; sleep 1; kill -KILL 0) & exit $s`
	bootData   = bootPath + bootRun
	bootScript = bootPath + `exec 3<&0 </dev/null; ` +
		`(trap "" TERM; cat <&3; kill -0 $$ && kill -TERM 0 && sleep 3 && kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; ` +
		bootRun
)

const (
	// maxOutput bounds the output of a script; all expected outputs are far smaller.
	maxOutput = 8 << 20
	// endGrace is how long a session can stay open after its script exited: processes of the login shell may hold it.
	endGrace = 300 * time.Millisecond
)

// startTimeout bounds how long a login shell takes to start a command. Only tests change it.
var startTimeout = 2 * time.Minute

// RunCommand runs a shell command as root and returns its standard output. stdin is the command's standard input; if it
// is nil, the command ends with the connection. A failed command is a *RunError, with the first word of the command as
// its name; a broken connection is a *Lost.
func (h *Host) RunCommand(ctx context.Context, cmd string, stdin io.Reader) ([]byte, error) {
	name, _, _ := strings.Cut(strings.TrimSpace(cmd), " ")
	if stdin == nil {
		return h.RunScript(ctx, name, cmd)
	}
	var out limitedBuffer
	err := h.runCall(ctx, call{name: name, script: cmd, stdout: &out, feed: func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		return err
	}})
	return out.b, err
}

// RunScript runs a shell script as root and returns its standard output; errors call it name. If ctx ends first, the
// script is terminated, and the error wraps ctx's.
func (h *Host) RunScript(ctx context.Context, name, script string) ([]byte, error) {
	var out limitedBuffer
	err := h.runCall(ctx, call{name: name, script: script, stdout: &out})
	return out.b, err
}

// FollowScript runs a script like RunScript, and passes each line of its standard output to line as it arrives.
func (h *Host) FollowScript(ctx context.Context, name, script string, line func(string)) error {
	return h.runCall(ctx, call{name: name, script: script, stdout: &lineWriter{each: line}})
}

// RunScriptWithAnswer runs a script and answers the first line of its output. The script reads the answer from its
// standard input: a line with its length in bytes, then the bytes. This saves a round trip if the data to send depends
// on the machine; a nil answer sends nothing. It returns the output after the first line.
func (h *Host) RunScriptWithAnswer(ctx context.Context, name, script string,
	answer func(first string) ([]byte, error)) ([]byte, error) {
	first := make(chan string, 1)
	var rest limitedBuffer
	out := &firstLineWriter{first: first, rest: &rest}
	err := h.runCall(ctx, call{name: name, script: script, stdout: out, feed: func(w io.Writer) error {
		l, ok := <-first
		if !ok {
			return nil
		}
		data, err := answer(l)
		if err != nil || data == nil {
			return err
		}
		_, err = w.Write(append(fmt.Appendf(nil, "%d\n", len(data)), data...))
		return err
	}, ended: out.closeFirst})
	return rest.b, err
}

// call is one script to run.
type call struct {
	name, script string
	stdout       io.Writer
	// stderr receives the standard error as it arrives; if it is nil, the error of the call quotes the last lines.
	stderr io.Writer
	// asUser runs the script as the login user (see user_command.go).
	asUser bool
	// feed writes the input of the script; an error terminates the script and is the error of the call.
	feed func(io.Writer) error
	// ended, if set, is called when the output is complete.
	ended func()
}

// runningCall is a call in progress.
type runningCall struct {
	call
	mark    string
	gate    *gate
	errGate *gate
	frames  streamFrames
	stderr  tailBuffer
	session sessionHandle
	// refused receives the reason why the output cannot be read any further.
	refused chan error
}

func newRunningCall(c call) (*runningCall, error) {
	mark, err := newMark()
	if err != nil {
		return nil, err
	}
	r := &runningCall{call: c, mark: mark, gate: &gate{w: c.stdout}, refused: make(chan error, 2)}
	refuse := func(err error) { r.refused <- err }
	r.errGate = &gate{w: &r.stderr}
	if c.stderr != nil {
		r.errGate.w = c.stderr
	}
	r.frames = streamFrames{out: newFrame(mark, r.gate, refuse), err: newFrame(mark, r.errGate, refuse)}
	return r, nil
}

// runCall runs a call. It returns as soon as ctx ends, even if the machine is unreachable; nothing is written to stdout
// of the call after that.
func (h *Host) runCall(ctx context.Context, c call) error {
	select {
	case h.sessions <- struct{}{}:
	case <-h.broken:
		return h.lostError(c.name, h.why)
	case <-ctx.Done():
		return h.stoppedError(ctx, c.name)
	}
	r, err := newRunningCall(c)
	if err != nil {
		<-h.sessions
		return err
	}
	h.uses.beginUse()
	result := make(chan error, 1)
	go func() {
		err := h.runSession(r)
		if c.ended != nil {
			c.ended()
		}
		h.uses.endUse()
		<-h.sessions
		result <- err
	}()
	return h.awaitCall(ctx, r, result)
}

// awaitCall returns the result of a call, or abandons the call if there is none.
func (h *Host) awaitCall(ctx context.Context, r *runningCall, result <-chan error) error {
	start := time.NewTimer(startTimeout)
	defer start.Stop()
	for {
		select {
		case err := <-result:
			select {
			case why := <-r.refused:
				return h.unreadableError(r, why)
			default:
				return err
			}
		case why := <-r.refused:
			r.abandon()
			return h.unreadableError(r, why)
		case <-start.C:
			if !r.frames.hasBegun() {
				r.abandon()
				return h.notStartedError(r, -1, fmt.Errorf("it did not start the command within %s", startTimeout))
			}
		case <-ctx.Done():
			r.abandon()
			if !r.frames.hasBegun() {
				return fmt.Errorf("%w%s", h.stoppedError(ctx, r.name),
					quoteShellOutput(" before the login shell started it", r.frames.shellOutput()))
			}
			return h.stoppedError(ctx, r.name)
		}
	}
}

// abandon closes the session of a call without waiting for it.
func (r *runningCall) abandon() {
	r.gate.shut()
	r.errGate.shut()
	go r.session.endSession()
}

// unreadableError returns the error of a call that printed too much.
func (h *Host) unreadableError(r *runningCall, why error) error {
	if errors.Is(why, errNoise) {
		return h.notStartedError(r, -1, why)
	}
	return &OutputTooLong{Machine: h.target.Name, Command: r.name, Past: why.Error()}
}

func (h *Host) notStartedError(r *runningCall, exit int, why error) error {
	return &ShellFailed{Machine: h.target.Name, Command: r.name, User: h.target.User, Exit: exit,
		Output: r.frames.shellOutput(), Cause: why}
}

func (h *Host) stoppedError(ctx context.Context, name string) error {
	return fmt.Errorf("machine %s: %s was stopped: %w", h.target.Name, name, context.Cause(ctx))
}

func (h *Host) lostError(doing string, err error) error {
	return &Lost{Machine: h.target.Name, Doing: "connection lost during " + doing, Cause: h.awaitBreak(err)}
}

// awaitBreak returns why the connection broke, or err if that does not turn out in a moment.
func (h *Host) awaitBreak(err error) error {
	select {
	case <-h.broken:
		return h.why
	case <-time.After(breakGrace):
		return err
	}
}

// runSession opens an SSH session, runs the call in it and waits until it ends.
func (h *Host) runSession(r *runningCall) error {
	s, err := h.newSession()
	if err != nil {
		return h.lostError(r.name, err)
	}
	defer s.Close()
	if !r.session.attachSession(s) {
		return h.lostError(r.name, context.Canceled)
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		return h.lostError(r.name, err)
	}
	s.Stdout, s.Stderr = r.frames.out, r.frames.err
	script := "{\n" + r.script + "\n}\n"
	if err := s.Start(h.bootCommand(r.call, len(script))); err != nil {
		return h.lostError(r.name, err)
	}
	fed := make(chan error, 1)
	go func() {
		err := r.sendInput(stdin, script)
		fed <- err // before the session ends because of it
		if err != nil {
			s.Close()
		}
	}()
	err = r.awaitEnd(s)
	if r.ended != nil {
		r.ended()
	}
	select {
	case ferr := <-fed:
		if cut := new(streamCutError); errors.As(ferr, &cut) && !isExitStatus(err) {
			return h.lostError(r.name, cut.cause)
		}
		if ferr != nil && !isExitStatus(err) {
			return fmt.Errorf("machine %s: %s: %w", h.target.Name, r.name, ferr)
		}
	default: // the script exited without reading all of its input
	}
	return h.sessionResult(r, err)
}

// sendInput writes the mark, the script, and its input.
func (r *runningCall) sendInput(stdin io.WriteCloser, script string) error {
	_, err := io.WriteString(stdin, markLead+r.mark+"\n"+script)
	if err != nil || r.feed == nil {
		return nil // Wait reports a broken connection; the watcher needs the stream open
	}
	if err = r.feed(inputStream{stdin}); err == nil || errors.Is(err, io.EOF) {
		_ = stdin.Close()
		return nil
	}
	return err
}

// inputStream marks the errors of writing to a session, so that they differ from those of reading what to write.
type inputStream struct{ io.Writer }

// Write implements io.Writer.
func (s inputStream) Write(data []byte) (int, error) {
	n, err := s.Writer.Write(data)
	if err != nil && !errors.Is(err, io.EOF) { // the script may end without reading everything
		err = &streamCutError{err}
	}
	return n, err
}

// streamCutError is why a script's input could not be written: the connection broke.
type streamCutError struct{ cause error }

func (e *streamCutError) Error() string { return e.cause.Error() }
func (e *streamCutError) Unwrap() error { return e.cause }

// awaitEnd waits until the session ends, or until its script has exited if the session stays open.
func (r *runningCall) awaitEnd(s *ssh.Session) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	for _, closed := range []chan struct{}{r.frames.out.closed, r.frames.err.closed} {
		select {
		case err := <-ended:
			r.frames.out.flushHeld()
			r.frames.err.flushHeld()
			return err
		case <-closed:
		}
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endGrace):
		return nil
	}
}

func isExitStatus(err error) bool {
	var exit *ssh.ExitError
	return err == nil || errors.As(err, &exit)
}

func (h *Host) bootCommand(c call, size int) string {
	boot := bootScript
	switch {
	case c.asUser && c.feed != nil:
		boot = bootUserData
	case c.asUser:
		boot = bootUser
	case c.feed != nil:
		boot = bootData
	}
	cmd := "setsid -w sh -c " + QuoteShell(fmt.Sprintf(boot, markLength, size))
	if h.target.User != "root" && !c.asUser {
		cmd = "sudo -n " + cmd
	}
	return "exec " + cmd // no trap of the login shell runs after it
}

// sessionResult converts the end of a session into an error of this package. The exit status in the closing mark
// counts, whatever the login shell returns.
func (h *Host) sessionResult(r *runningCall, err error) error {
	select {
	case <-r.frames.out.closed:
		if status := r.frames.out.exitStatus(); status != 0 {
			return &RunError{Machine: h.target.Name, Command: r.name, Exit: status, Tail: r.stderr.lastLines()}
		}
		return nil
	default:
	}
	var exit *ssh.ExitError
	status := 0
	switch {
	case errors.As(err, &exit):
		status = exit.ExitStatus()
	case err != nil:
		return h.lostError(r.name, err)
	}
	if !r.frames.hasBegun() {
		return h.notStartedError(r, status, nil)
	}
	if status == 0 || exit.Signal() != "" {
		status = -1 // the shell of the script was killed
	}
	return &RunError{Machine: h.target.Name, Command: r.name, Exit: status, Tail: r.stderr.lastLines()}
}

// sessionHandle lets a caller close a session that may not be open yet.
type sessionHandle struct {
	mu    sync.Mutex
	s     *ssh.Session
	ended bool
}

func (l *sessionHandle) attachSession(s *ssh.Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s = s
	return !l.ended
}

func (l *sessionHandle) endSession() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.s != nil {
		l.s.Close()
	}
}

// QuoteShell quotes s as one literal word for a shell.
func QuoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
