package skypilot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const pollInterval = 100 * time.Millisecond

// process is a server of the environment.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error
}

// startPythonProcess begins a Python program, with some more variables, that outlives the context.
func (e *Env) startPythonProcess(part string, more []string, args ...string) (*process, error) {
	log, err := os.OpenFile(e.logFile(part), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(e.PythonInterpreter(), args...)
	cmd.Env, cmd.Dir = append(e.EnvVars(), more...), e.o.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	switch part {
	case "server":
		cmd.Env = append(cmd.Env, "IS_SKYPILOT_SERVER=true") // as sky api start has it
	case "aws":
		cmd.Env = append(cmd.Env, "MOTO_AMIS_PATH="+filepath.Join(e.pythonDir(), "skytest", "amis.json"))
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", part, err)
	}
	p := &process{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, e.guard.watchGroup(cmd.Process.Pid)
}

// awaitHealthy asks until the server is well, has ended, or the context ends.
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
			return fmt.Errorf("%s ended (%v):\n%s", p.cmd, p.err, p.lastLogLines())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", context.Cause(ctx), err, p.lastLogLines())
		case <-tick.C:
		}
	}
}

func (p *process) lastLogLines() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLines(data)
}

// kill ends the process and its children, which share its group.
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
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
