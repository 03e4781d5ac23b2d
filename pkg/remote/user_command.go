package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// awaitGuard tells the process group and the shell of the script that follows, which starts once that shell gets
// SIGUSR1.
const awaitGuard = `trap w=1 USR1; echo "$$ $(exec sh -c 'echo $PPID')" >&2; i=0
until [ "$w" ] || [ $i -ge 30 ]; do sleep 1 >/dev/null 2>&1 & wait $!; i=$((i+1)); done
{ kill $!; trap - USR1; } 2>/dev/null
[ "$w" ] || { echo 'the command was not started: nothing watches it' >&2; exit 255; }
unset w i
`

// runGuarded runs a call whose input is a stream. Such a call has no watcher of its own, because its input does not end
// with the connection. A second session watches instead: the call tells its process group first and waits until it is
// watched, and the second session ends that group if it ends without having been told that the call is over.
func (h *Host) runGuarded(ctx context.Context, c call, stdin io.Reader) error {
	group := make(chan string, 1)
	stderr := &firstLineWriter{first: group, rest: c.stderr}
	over := make(chan struct{})
	c.script, c.stderr, c.ended = awaitGuard+c.script, stderr, stderr.closeFirst
	c.feed = func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		return err
	}
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		var id, shell int
		if _, err := fmt.Sscan(<-group, &id, &shell); err == nil && id > 1 && shell > 1 {
			h.guardGroup(ctx, id, shell, over)
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

// guardScript ends a process group unless it reads a line before its input ends. First it lets the group's shell start.
const guardScript = `kill -s USR1 %[2]d; read -r _ && exit 0; kill -s TERM -- -%[1]d; sleep 2; kill -s KILL -- -%[1]d`

// guardGroup lets the shell of a process group start, and watches the group until over is closed. Its session ends with
// ctx, and with the connection.
func (h *Host) guardGroup(ctx context.Context, id, shell int, over <-chan struct{}) {
	_ = h.runCall(context.WithoutCancel(ctx), call{
		name: "watching the command", script: fmt.Sprintf(guardScript, id, shell), stdout: io.Discard,
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
