package skypilot

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	"github.com/sky-shift/skyctl/test/process"
)

// guard is a process that removes all of the environment when its input ends: because Stop closes it, or because the
// test's process is gone, however it went.
type guard struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	said  bytes.Buffer
}

func startGuard(e *Env) (*guard, error) {
	g := &guard{cmd: exec.Command(e.PythonInterpreter(), "-m", "skytest.guard")}
	g.cmd.Env = e.EnvVars()
	g.cmd.Stderr = &g.said
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what interrupts the test must not interrupt this
	var err error
	if g.input, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the environment's guard: %w", err)
	}
	return g, nil
}

// watchGroup has the guard end a process group too, whose leader may be gone by then.
func (g *guard) watchGroup(group int) error {
	if _, err := fmt.Fprintln(g.input, group); err != nil {
		return fmt.Errorf("telling the environment's guard of a process: %w", err)
	}
	return nil
}

func (g *guard) cleanUp() error {
	if err := g.input.Close(); err != nil {
		return err
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("removing the SkyPilot environment: %w\n%s", err, process.LastLines(g.said.Bytes()))
	}
	return nil
}
