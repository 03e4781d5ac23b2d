package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	pollInterval = 200 * time.Millisecond
	stopTimeout  = 40 * time.Second
)

// process is a service that runs.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
	err  error
}

func (c command) newExecCmd(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Dir = c.env, c.dir
	// A test that ends without stopping the chain, by its time-out for one, leaves nothing running.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.credential, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// runToEnd waits for the end and gives what was written.
func (c command) runToEnd(ctx context.Context) ([]byte, error) {
	return c.newExecCmd(ctx).CombinedOutput()
}

// runForOutput gives what was written to standard output; the error has what was written to the other.
func (c command) runForOutput(ctx context.Context) ([]byte, error) {
	out, err := c.newExecCmd(ctx).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, lastLines(exit.Stderr))
	}
	return out, err
}

// startProcess begins a service that outlives the context.
func (c command) startProcess(logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := c.newExecCmd(context.Background())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		_ = log.Close()
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

// awaitHealthy asks until the service is well, has ended, or the context ends.
func (p *process) awaitHealthy(ctx context.Context, well func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := well()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended (%v):\n%s", p.err, p.lastLogLines())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", context.Cause(ctx), err, p.lastLogLines())
		case <-tick.C:
		}
	}
}

func (p *process) lastLogLines() string {
	data, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return lastLines(data)
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is what was wanted
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("it didn't stop within %v:\n%s", stopTimeout, p.lastLogLines()), p.kill())
	}
}

func (p *process) kill() error {
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.done
	return nil
}

// lastLines keeps errors readable.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
