package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

func TestUserCommandPassesStreamsAndExitStatus(t *testing.T) {
	_, h := start(t)
	binary := string([]byte{0, 1, 0xff, '\n', 0x1b, '['})
	for _, c := range []struct {
		line, in       string
		out, err       string
		exit           int
		noStdin, admin bool
	}{
		{line: "cat; echo oops >&2; exit 7", in: binary, out: binary, err: "oops\n", exit: 7},
		{line: "cat; echo oops >&2; exit 7", noStdin: true, err: "oops\n", exit: 7},
		{line: "cat; echo oops >&2; exit 7", in: binary, out: binary, err: "oops\n", exit: 7, admin: true},
		{line: remote.JoinArguments([]string{"printf", "%s|", "a b", "it's", "$HOME;"}), noStdin: true,
			out: "a b|it's|$HOME;|"},
		{line: remote.JoinArguments([]string{"echo one | tr o 0"}), noStdin: true, out: "0ne\n"},
		{line: "exit 255", noStdin: true, exit: 255},
		{line: "kill -TERM $BASHPID 2>/dev/null; sh -c 'kill -TERM $$'", noStdin: true, exit: 143},
	} {
		var out, errs bytes.Buffer
		command := remote.UserCommand{Line: c.line, AsRoot: c.admin, Stdout: &out, Stderr: &errs}
		if !c.noStdin {
			command.Stdin = strings.NewReader(c.in)
		}
		exit, err := h.RunUserCommand(t.Context(), command)
		if c.exit == 143 {
			errs.Reset() // the shell names the signal
		}
		if err != nil || exit != c.exit || out.String() != c.out || errs.String() != c.err {
			t.Errorf("%q: exit %d, %v, out %q, err %q", c.line, exit, err, out.String(), errs.String())
		}
	}
}

// startSleeper runs a command that ignores hang-ups and names its process in a file.
func startSleeper(t *testing.T, h *remote.Host, stdin io.Reader) (cancel func(), pid int, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	file, result := filepath.Join(t.TempDir(), "pid"), make(chan error, 1)
	go func() {
		_, err := h.RunUserCommand(ctx, remote.UserCommand{Stdin: stdin, Stdout: io.Discard, Stderr: io.Discard,
			Line: fmt.Sprintf("trap '' HUP; sh -c 'echo $$ >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 1000'", file)})
		result <- err
	}()
	eventually.Holds(t, "the command runs", func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	return cancel, pid, result
}

func isGone(pid int) bool { return gone([]int{pid})() }

func TestInterruptedUserCommandEndsOnTheMachine(t *testing.T) {
	for name, withInput := range map[string]bool{"with input": true, "without input": false} {
		t.Run(name, func(t *testing.T) {
			s, h := start(t)
			var stdin io.Reader
			if withInput {
				r, w := io.Pipe()
				defer w.Close()
				stdin = r
			}
			cancel, pid, ended := startSleeper(t, h, stdin)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			eventually.Holds(t, "the command is gone", func() bool { return isGone(pid) })

			_, pid, ended = startSleeper(t, h, stdin)
			s.HangUp()
			if err := <-ended; !remote.IsLost(err) {
				t.Errorf("got %v", err)
			}
			eventually.Holds(t, "the command is gone after a lost connection", func() bool { return isGone(pid) })
		})
	}
}

func TestBackgroundProcessOfAUserCommandGoesOn(t *testing.T) {
	for name, stdin := range map[string]io.Reader{"with input": strings.NewReader(""), "without input": nil} {
		_, h := start(t)
		var out bytes.Buffer
		if _, err := h.RunUserCommand(t.Context(), remote.UserCommand{Stdin: stdin, Stdout: &out, Stderr: io.Discard,
			Line: "nohup sleep 1000 >/dev/null 2>&1 & echo $!"}); err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		if isGone(pid) {
			t.Errorf("%s: the process has ended", name)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestTerminalSessionResizesAndReturnsItsExitStatus(t *testing.T) {
	_, h := start(t)
	keys, typed := io.Pipe()
	defer typed.Close()
	var out lockedbuffer.Buffer
	resized := make(chan remote.WindowSize)
	ended := make(chan int, 1)
	go func() {
		exit, err := h.RunTerminalSession(t.Context(), remote.TerminalSession{Term: "vt100",
			Size: remote.WindowSize{Columns: 91, Rows: 31}, Resized: resized, Stdin: keys, Stdout: &out, Stderr: &out})
		if err != nil {
			t.Error(err)
		}
		ended <- exit
	}()
	send := func(text string) { _, _ = io.WriteString(typed, text) }
	send("stty size; echo $TERM; tty\n")
	eventually.Holds(t, "the size", func() bool {
		return strings.Contains(out.String(), "31 91\r\nvt100\r\n/dev/pts/")
	})
	resized <- remote.WindowSize{Columns: 92, Rows: 32}
	eventually.Holds(t, "the new size", func() bool {
		send("stty size\n")
		return strings.Contains(out.String(), "32 92\r\n")
	})
	// Ctrl-C goes alone, once the command reads: a shell discards what came in together with the signal.
	send("PS1=machine: ; sed -u s/$/-$((1+1))/\ntyped\n")
	eventually.Holds(t, "the command reads", func() bool { return strings.Contains(out.String(), "typed-2\r\n") })
	send("\x03")
	eventually.Holds(t, "Ctrl-C reaches the command", func() bool {
		return strings.HasSuffix(out.String(), "machine:")
	})
	send("exit 42\n")
	if exit := <-ended; exit != 42 {
		t.Errorf("exit %d", exit)
	}
}

func TestInterruptedTerminalSessionHangsUp(t *testing.T) {
	_, h := start(t)
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		r, w := io.Pipe()
		defer w.Close()
		_, err := h.RunTerminalSession(ctx, remote.TerminalSession{Line: "echo $$ >" + file + "; exec sleep 1000",
			Stdin: r, Stdout: io.Discard, Stderr: io.Discard})
		result <- err
	}()
	pid := 0
	eventually.Holds(t, "the command runs", func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the command is gone", func() bool { return isGone(pid) })
}
