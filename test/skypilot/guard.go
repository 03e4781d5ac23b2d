package skypilot

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	"github.com/sky-shift/skyctl/test/process"
)

// guard is a process that removes the whole environment when its input ends: when Stop closes it, or when the test's
// process exits in any way.
type guard struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	said  bytes.Buffer
}

func startGuard(e *Env) (*guard, error) {
	g := &guard{cmd: exec.Command(e.PythonInterpreter(), "-m", "skytest.guard")}
	g.cmd.Env = e.EnvVars()
	g.cmd.Stderr = &g.said
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a signal to the test's group must not reach the guard
	var err error
	if g.input, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the environment's guard: %w", err)
	}
	return g, nil
}

// watchGroup makes the guard also kill a process group, even if its leader has exited.
func (g *guard) watchGroup(group int) error {
	if _, err := fmt.Fprintln(g.input, group); err != nil {
		return fmt.Errorf("pass a process to the environment's guard: %w", err)
	}
	return nil
}

func (g *guard) cleanUp() error {
	if err := g.input.Close(); err != nil {
		return err
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("remove the SkyPilot environment: %w\n%s", err, process.LastLines(g.said.Bytes()))
	}
	return nil
}
