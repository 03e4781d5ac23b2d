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

// A script travels over the session's standard input, never in an argument that others on the machine could read. The
// far side takes exactly its bytes from the stream and runs it as one compound command, so that a script which arrives
// cut is a syntax error and nothing of it runs. Before it comes the mark that frames its output (see frame.go).
//
// What follows the script on the stream is either data for it (bootData), or nothing at all until the connection ends
// (bootScript): a watcher waits for that end and takes the whole process group down, so that nothing goes on behind the
// back of a caller that was cancelled or killed. setsid gives the script that group of its own. When the script ends by
// itself, what it left running ends with it, within a second even where that does not heed a SIGTERM; it would hold the
// session open otherwise.
//
// The command is read by the login shell first, which may be any: in single quotes, without a quote, a backslash, an
// exclamation mark or a line break in it, it is the same to a POSIX shell, zsh, csh and fish. What the login shell sets
// for its own ends (umask, variables that change what tools print) is set back.
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
	// maxOutput bounds what a script may print; everything we ask for is far smaller.
	maxOutput = 8 << 20
	// endGrace is how long a session may take to end once the script in it has: what its login shell left running may
	// hold it.
	endGrace = 300 * time.Millisecond
)

// startTimeout bounds how long a login shell may take to begin a command. Only tests change it.
var startTimeout = 2 * time.Minute

// RunCommand runs a shell command as root and returns its standard output. What stdin gives is the command's standard
// input; where it is nil, the command ends with the connection. A command that fails is a *RunError that names the
// command by its first word; a connection that breaks is a *Lost.
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

// RunScript runs a shell script as root and returns its standard output; name is what errors call it. Where ctx ends
// before the script does, the script is ended, and the error is ctx's.
func (h *Host) RunScript(ctx context.Context, name, script string) ([]byte, error) {
	var out limitedBuffer
	err := h.runCall(ctx, call{name: name, script: script, stdout: &out})
	return out.b, err
}

// FollowScript runs a script as Script does and hands over each line of its standard output as it comes.
func (h *Host) FollowScript(ctx context.Context, name, script string, line func(string)) error {
	return h.runCall(ctx, call{name: name, script: script, stdout: &lineWriter{each: line}})
}

// RunScriptWithAnswer runs a script to whose first line of output there is an answer, which the script finds on its
// standard input: its length in bytes on a line, then its bytes. That saves a round trip where what to send depends on
// what is there; a nil answer sends nothing. It returns the output after the first line.
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
	// feed writes what follows the script on its standard input; its error ends the script and is the call's error.
	feed func(io.Writer) error
	// ended, where it is set, hears that no more output will come.
	ended func()
}

// runningCall is a call on its way.
type runningCall struct {
	call
	mark   string
	gate   *gate
	frames streamFrames
	stderr tailBuffer
	life   sessionHandle
	// refused takes why the call's output can't be read any further.
	refused chan error
}

func newRunningCall(c call) (*runningCall, error) {
	mark, err := newMark()
	if err != nil {
		return nil, err
	}
	r := &runningCall{call: c, mark: mark, gate: &gate{w: c.stdout}, refused: make(chan error, 2)}
	refuse := func(err error) { r.refused <- err }
	r.frames = streamFrames{out: newFrame(mark, r.gate, refuse), err: newFrame(mark, &r.stderr, refuse)}
	return r, nil
}

// runCall runs a call. It returns as soon as ctx ends, even where the machine is beyond reach; nothing is written to
// the call's stdout after it has returned.
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

// awaitCall returns a call's result, or ends the call where that does not come.
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
				return h.notStartedError(r, -1, fmt.Errorf("it did not begin the command within %s", startTimeout))
			}
		case <-ctx.Done():
			r.abandon()
			if !r.frames.hasBegun() {
				return fmt.Errorf("%w%s", h.stoppedError(ctx, r.name),
					quoteShellOutput(" before its login shell had begun it", r.frames.shellOutput()))
			}
			return h.stoppedError(ctx, r.name)
		}
	}
}

// abandon ends a call without waiting for it.
func (r *runningCall) abandon() {
	r.gate.shut()
	go r.life.endSession()
}

// unreadableError is the error of a call that printed too much.
func (h *Host) unreadableError(r *runningCall, why error) error {
	if errors.Is(why, errNoise) {
		return h.notStartedError(r, -1, why)
	}
	return &OutputTooLong{Machine: h.target.Name, Command: r.name, Past: why.Error()}
}

func (h *Host) notStartedError(r *runningCall, exit int, why error) error {
	return &ShellFailed{Machine: h.target.Name, Command: r.name, User: h.target.User, Exit: exit,
		Said: r.frames.shellOutput(), Cause: why}
}

func (h *Host) stoppedError(ctx context.Context, name string) error {
	return fmt.Errorf("machine %s: %s was stopped: %w", h.target.Name, name, context.Cause(ctx))
}

func (h *Host) lostError(doing string, err error) error {
	select {
	case <-h.broken:
		err = h.why
	case <-time.After(breakGrace):
	}
	return &Lost{Machine: h.target.Name, Doing: "connection lost during " + doing, Cause: err}
}

// runSession opens an SSH session, runs the call in it and waits for its end.
func (h *Host) runSession(r *runningCall) error {
	s, err := h.client.NewSession()
	if err != nil {
		return h.lostError(r.name, err)
	}
	defer s.Close()
	if !r.life.attachSession(s) {
		return h.lostError(r.name, context.Canceled)
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		return h.lostError(r.name, err)
	}
	s.Stdout, s.Stderr = r.frames.out, r.frames.err
	script := "{\n" + r.script + "\n}\n"
	if err := s.Start(h.bootCommand(r.feed != nil, len(script))); err != nil {
		return h.lostError(r.name, err)
	}
	fed := make(chan error, 1)
	go func() { fed <- r.sendInput(s, stdin, script) }()
	err = r.awaitEnd(s)
	if r.ended != nil {
		r.ended()
	}
	select {
	case ferr := <-fed:
		if ferr != nil && !isExitStatus(err) {
			return fmt.Errorf("machine %s: %s: %w", h.target.Name, r.name, ferr)
		}
	default: // the script ended without taking all of its input
	}
	return h.sessionResult(r, err)
}

// sendInput writes the mark, the script, and what follows it.
func (r *runningCall) sendInput(s *ssh.Session, stdin io.WriteCloser, script string) error {
	_, err := io.WriteString(stdin, markLead+r.mark+"\n"+script)
	if err != nil || r.feed == nil {
		return nil // a broken connection shows in Wait; the stream stays open for the watcher
	}
	if err = r.feed(stdin); err == nil || errors.Is(err, io.EOF) {
		_ = stdin.Close()
		return nil
	}
	s.Close()
	return err
}

// awaitEnd waits for the end of the session, or for that of the script in it where the session goes on.
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

func (h *Host) bootCommand(data bool, size int) string {
	boot := bootScript
	if data {
		boot = bootData
	}
	cmd := "setsid -w sh -c " + QuoteShell(fmt.Sprintf(boot, markLength, size))
	if h.target.User != "root" {
		cmd = "sudo -n " + cmd
	}
	return "exec " + cmd // so that no trap of the login shell outlives it
}

// sessionResult turns the end of a session into this package's errors. What the closing mark says of the script's exit
// counts, whatever the login shell made of it.
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
		status = -1 // something ended the script's own shell
	}
	return &RunError{Machine: h.target.Name, Command: r.name, Exit: status, Tail: r.stderr.lastLines()}
}

// sessionHandle lets a caller end a session that may not be open yet.
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

// QuoteShell makes a word of s that a shell takes literally.
func QuoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
