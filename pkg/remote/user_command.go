package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A command of a person runs like a script, with these differences: the login user runs it, in the user's own
// environment, and processes that it leaves in the background go on. If the connection ends before the command does,
// the watcher ends it, and what it started as root through sudo too.
const (
	bootUserPath = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; ` + bootRead
	bootUserEnd  = `(trap "" TERM; cat <&3; kill -0 $$ && { sudo -n kill -s TERM -- -$$ || kill -TERM 0; } && ` +
		`sleep 3 && { sudo -n kill -s KILL -- -$$ || kill -KILL 0; }) >/dev/null 2>&1 & exec 3<&-; `
	bootUserRun  = bootOpen + `(eval "$s"); s=$?; echo "$m>$s"; echo "$m>$s" >&2; exit $s`
	bootUserData = bootUserPath + bootUserRun
	bootUser     = bootUserPath + `exec 3<&0 </dev/null; ` + bootUserEnd + bootUserRun
)

// UserCommand is a command that a person runs on a machine.
type UserCommand struct {
	// Line is what the shell of the machine runs; JoinArguments makes it from arguments.
	Line string
	// AsRoot runs it as root instead of the login user.
	AsRoot bool
	// Stdin is its input; nil is none.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// RunUserCommand runs a command until it ends, and returns its exit status. If ctx or the connection ends first, the
// command is terminated, and the error wraps the cause. The output is passed on as it arrives, unchanged.
func (h *Host) RunUserCommand(ctx context.Context, c UserCommand) (exit int, err error) {
	run := call{name: "the command", script: c.Line, stdout: c.Stdout, stderr: c.Stderr, asUser: !c.AsRoot}
	if c.Stdin == nil {
		err = h.runCall(ctx, run)
	} else {
		err = h.runGuarded(ctx, run, c.Stdin)
	}
	if failed := new(RunError); errors.As(err, &failed) && failed.Exit >= 0 {
		return failed.Exit, nil
	}
	return 0, err
}

// runGuarded runs a call whose input is a stream. Such a call has no watcher of its own, because its input does not end
// with the connection. A second session watches instead: the call tells its process group first, and the second session
// ends that group if it ends without having been told that the call is over.
func (h *Host) runGuarded(ctx context.Context, c call, stdin io.Reader) error {
	group := make(chan string, 1)
	stderr := &firstLineWriter{first: group, rest: c.stderr}
	over := make(chan struct{})
	c.script, c.stderr, c.ended = "echo $$ >&2\n"+c.script, stderr, stderr.closeFirst
	c.feed = func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		return err
	}
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		if id, err := strconv.Atoi(<-group); err == nil && id > 1 {
			h.guardGroup(ctx, id, over)
		}
	}()
	err := h.runCall(ctx, c)
	close(over)
	stderr.closeFirst()
	select {
	case <-guarded:
	case <-ctx.Done(): // the machine ends the command by itself
	}
	return err
}

// guardScript ends a process group unless it reads a line before its input ends.
const guardScript = `read -r _ && exit 0; kill -s TERM -- -%[1]d; sleep 2; kill -s KILL -- -%[1]d`

// guardGroup watches a process group until over is closed. Its session ends with ctx, and with the connection.
func (h *Host) guardGroup(ctx context.Context, id int, over <-chan struct{}) {
	_ = h.runCall(context.WithoutCancel(ctx), call{
		name: "watching the command", script: fmt.Sprintf(guardScript, id), stdout: io.Discard,
		feed: func(w io.Writer) error {
			select {
			case <-over:
			case <-ctx.Done():
			case <-h.broken:
			}
			if ctx.Err() != nil {
				return nil // the end of the input ends the group
			}
			_, err := io.WriteString(w, "over\n")
			return err
		}}) // the group has ended, or the connection has
}

// JoinArguments makes a command line of arguments. One argument is a line for the shell, as ssh takes it; of several,
// each is one word.
func JoinArguments(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = QuoteShell(a)
	}
	return strings.Join(words, " ")
}
