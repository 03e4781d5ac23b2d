// Package process runs servers and commands as child processes of a test. They die with the test's process, even if it
// is killed. Only tests and test/bench import it.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	pollInterval = 100 * time.Millisecond
	logTail      = 25 // lines of a log that an error repeats
)

// Options describe a command.
type Options struct {
	Argv []string
	// Name is argv[0] if it differs from the program's path.
	Name string
	Env  []string // nil: this process's own
	Dir  string
	// LogFile gets a server's output; Start appends to it.
	LogFile    string
	Credential *syscall.Credential
}

// Command is a command in a process group of its own. It dies with the thread that starts it; Start takes care of that.
func Command(ctx context.Context, o Options) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.Argv[0], o.Argv[1:]...)
	if o.Name != "" {
		cmd.Args[0] = o.Name
	}
	cmd.Env, cmd.Dir = o.Env, o.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: o.Credential, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Process is a running server.
type Process struct {
	cmd     *exec.Cmd
	logFile string
	ended   chan struct{}
	err     error // valid once ended is closed
}

// Start starts a server.
func Start(o Options) (*Process, error) {
	log, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := Command(context.Background(), o)
	cmd.Stdout, cmd.Stderr = log, log
	p := &Process{cmd: cmd, logFile: o.LogFile, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that started it ends, not when the process does
		// (https://go.dev/issue/27505): the thread has to live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- errors.Join(err, log.Close())
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd, err)
	}
	return p, nil
}

// PID is the id of the process and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// AwaitHealthy calls healthy until it returns no error. It fails when the process or the context ends.
func (p *Process) AwaitHealthy(ctx context.Context, healthy func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := healthy()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended (%v):\n%s", p.cmd, p.err, p.LastLogLines())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", context.Cause(ctx), err, p.LastLogLines())
		case <-tick.C:
		}
	}
}

// Stop sends the process a SIGTERM. If it does not exit within the limit, Stop kills it and returns an error.
func (p *Process) Stop(limit time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(limit):
		return errors.Join(fmt.Errorf("%s did not stop within %v:\n%s", p.cmd, limit, p.LastLogLines()), p.Kill())
	}
}

// Kill kills the process and its children, which share its group.
func (p *Process) Kill() error {
	err := syscall.Kill(-p.PID(), syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.ended
	return nil
}

// LastLogLines returns the last lines of the log, for an error.
func (p *Process) LastLogLines() string {
	data, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return LastLines(data)
}

// LastLines returns the last lines of an output, for an error.
func LastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}

// Result is the exit code and output of a command.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command to its end. It returns an error if the command cannot be started or is cut short, not if it fails.
func Run(ctx context.Context, o Options) (Result, error) {
	cmd := exec.CommandContext(ctx, o.Argv[0], o.Argv[1:]...)
	cmd.Env, cmd.Dir = o.Env, o.Dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return r, err
}

// RunTestAgain runs one test of this test binary in a child process, with further variables in its environment. It is
// for settings that a process reads only once, such as its proxy. The test has to tell the two runs apart.
func RunTestAgain(ctx context.Context, test string, env ...string) error {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
