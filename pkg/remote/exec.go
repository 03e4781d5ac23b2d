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
// cut is a syntax error and nothing of it runs.
//
// What follows the script on the stream is either data for it (bootData), or nothing at all until the connection ends
// (bootScript): a watcher waits for that end and takes the whole process group down, so that nothing goes on behind the
// back of a caller that was cancelled or killed. setsid gives the script that group of its own. When the script ends by
// itself, what it left running ends with it, within a second even where that does not heed a SIGTERM; it would hold the
// session open otherwise.
const (
	bootPath   = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL=C PATH; s=$(head -c %d) || exit 126; `
	bootRun    = `(eval "$s"); s=$?; trap "" TERM; kill -TERM 0; (exec >/dev/null 2>&1 </dev/null; sleep 1; kill -KILL 0) & exit $s`
	bootData   = bootPath + bootRun
	bootScript = bootPath + `exec 3<&0 </dev/null; ` +
		`(trap "" TERM; cat <&3; kill -0 $$ && kill -TERM 0 && sleep 3 && kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; ` + bootRun
)

// maxOutput bounds what a script may print; everything we ask for is far smaller.
const maxOutput = 8 << 20

// Run runs a shell command as root and returns its standard output. What stdin gives is the command's standard input;
// where it is nil, the command ends with the connection. A command that fails is a *RunError that names the command by
// its first word; a connection that breaks is a *Lost.
func (h *Host) Run(ctx context.Context, cmd string, stdin io.Reader) ([]byte, error) {
	name, _, _ := strings.Cut(strings.TrimSpace(cmd), " ")
	if stdin == nil {
		return h.Script(ctx, name, cmd)
	}
	var out buffer
	err := h.exec(ctx, call{name: name, script: cmd, stdout: &out, feed: func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		return err
	}})
	return out.b, err
}

// Script runs a shell script as root and returns its standard output; name is what errors call it. Where ctx ends
// before the script does, the script is ended, and the error is ctx's.
func (h *Host) Script(ctx context.Context, name, script string) ([]byte, error) {
	var out buffer
	err := h.exec(ctx, call{name: name, script: script, stdout: &out})
	return out.b, err
}

// Follow runs a script as Script does and hands over each line of its standard output as it comes.
func (h *Host) Follow(ctx context.Context, name, script string, line func(string)) error {
	return h.exec(ctx, call{name: name, script: script, stdout: &lines{each: line}})
}

// Converse runs a script to whose first line of output there is an answer, which the script finds on its standard input:
// its length in bytes on a line, then its bytes. That saves a round trip where what to send depends on what is there;
// a nil answer sends nothing. It returns the output after the first line.
func (h *Host) Converse(ctx context.Context, name, script string, answer func(first string) ([]byte, error)) ([]byte, error) {
	first := make(chan string, 1)
	var rest buffer
	out := &firstLine{first: first, rest: &rest}
	err := h.exec(ctx, call{name: name, script: script, stdout: out, feed: func(w io.Writer) error {
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
	}, ended: out.end})
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

// exec runs a call. It returns as soon as ctx ends, even where the machine is beyond reach; nothing is written to the
// call's stdout after it has returned.
func (h *Host) exec(ctx context.Context, c call) error {
	select {
	case h.sessions <- struct{}{}:
	case <-h.broken:
		return h.lost(c.name, h.why)
	case <-ctx.Done():
		return h.stopped(ctx, c.name)
	}
	h.uses.begin()
	gate := &gate{w: c.stdout}
	var life life
	result := make(chan error, 1)
	go func() {
		err := h.session(c, gate, &life)
		if c.ended != nil {
			c.ended()
		}
		h.uses.end()
		<-h.sessions
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		gate.shut()
		go life.end()
		return h.stopped(ctx, c.name)
	}
}

func (h *Host) stopped(ctx context.Context, name string) error {
	return fmt.Errorf("machine %s: %s was stopped: %w", h.target.Name, name, context.Cause(ctx))
}

func (h *Host) lost(doing string, err error) error {
	select {
	case <-h.broken:
		err = h.why
	case <-time.After(breakGrace):
	}
	return &Lost{Machine: h.target.Name, Doing: "connection lost during " + doing, Cause: err}
}

// session opens an SSH session, runs the call in it and waits for its end.
func (h *Host) session(c call, stdout io.Writer, life *life) error {
	s, err := h.client.NewSession()
	if err != nil {
		return h.lost(c.name, err)
	}
	defer s.Close()
	if !life.begin(s) {
		return h.lost(c.name, context.Canceled)
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		return h.lost(c.name, err)
	}
	var stderr tail
	s.Stdout, s.Stderr = stdout, &stderr
	script := "{\n" + c.script + "\n}\n"
	if err := s.Start(h.command(c.feed != nil, len(script))); err != nil {
		return h.lost(c.name, err)
	}
	fed := make(chan error, 1)
	go func() {
		_, err := io.WriteString(stdin, script)
		if err != nil || c.feed == nil {
			fed <- nil // a broken connection shows in Wait; the stream stays open for the watcher
			return
		}
		if err = c.feed(stdin); err == nil || errors.Is(err, io.EOF) {
			_ = stdin.Close()
			fed <- nil
			return
		}
		fed <- err
		s.Close()
	}()
	err = s.Wait()
	if c.ended != nil {
		c.ended()
	}
	select {
	case ferr := <-fed:
		if ferr != nil && !isExit(err) {
			return fmt.Errorf("machine %s: %s: %w", h.target.Name, c.name, ferr)
		}
	default: // the script ended without taking all of its input
	}
	return h.ended(c.name, err, &stderr)
}

func isExit(err error) bool {
	var exit *ssh.ExitError
	return err == nil || errors.As(err, &exit)
}

func (h *Host) command(data bool, size int) string {
	boot := bootScript
	if data {
		boot = bootData
	}
	cmd := "setsid -w sh -c " + Quote(fmt.Sprintf(boot, size))
	if h.target.User != "root" {
		cmd = "sudo -n " + cmd
	}
	return cmd
}

// ended turns the end of a session into this package's errors.
func (h *Host) ended(name string, err error, stderr *tail) error {
	if err == nil {
		return nil
	}
	var exit *ssh.ExitError
	if !errors.As(err, &exit) {
		return h.lost(name, err)
	}
	status := exit.ExitStatus()
	if exit.Signal() != "" {
		status = -1
	}
	return &RunError{Machine: h.target.Name, Command: name, Exit: status, Tail: stderr.lines()}
}

// life lets a caller end a session that may not be open yet.
type life struct {
	mu    sync.Mutex
	s     *ssh.Session
	ended bool
}

func (l *life) begin(s *ssh.Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s = s
	return !l.ended
}

func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.s != nil {
		l.s.Close()
	}
}

// Quote makes a word of s that a shell takes literally.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
