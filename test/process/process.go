// Package process runs servers and commands as child processes of a test. They die with the test's process, however
// that ends. Only tests and test/bench import it.
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

// Options say what is run.
type Options struct {
	Argv []string
	// Name is argv[0] where it is not the program's path.
	Name string
	Env  []string // nil: this process's own
	Dir  string
	// LogFile gets what a server writes; it is appended to.
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

// Process is a server that runs.
type Process struct {
	cmd     *exec.Cmd
	logFile string
	ended   chan struct{}
	err     error // after ended
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

// PID is the process's id, and that of its group.
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

// Stop asks the process to end, and kills it where it does not in time, which is an error.
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

// LastLogLines are the last lines of the log, for an error.
func (p *Process) LastLogLines() string {
	data, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return LastLines(data)
}

// LastLines are the last lines of an output, for an error.
func LastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}

// Result is what a command that ended has written.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a command to its end. A command that fails is no error; one that can't be run or is cut short is.
func Run(ctx context.Context, o Options) (Result, error) {
	cmd := exec.CommandContext(ctx, o.Argv[0], o.Argv[1:]...)
	cmd.Env, cmd.Dir = o.Env, o.Dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	r := Result{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: said.String()}
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return r, err
}
