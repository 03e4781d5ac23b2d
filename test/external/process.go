package external

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/sky-shift/skyctl/test/process"
)

const stopTimeout = 40 * time.Second

func (c command) options() process.Options {
	return process.Options{Argv: c.argv, Env: c.env, Dir: c.dir, Credential: c.credential}
}

// runToEnd waits for the end and returns the output.
func (c command) runToEnd(ctx context.Context) ([]byte, error) {
	return process.Command(ctx, c.options()).CombinedOutput()
}

// runForOutput returns the standard output; the error contains the standard error.
func (c command) runForOutput(ctx context.Context) ([]byte, error) {
	out, err := process.Command(ctx, c.options()).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, process.LastLines(exit.Stderr))
	}
	return out, err
}

// startProcess starts a service that outlives the context.
func (c command) startProcess(logFile string) (*process.Process, error) {
	o := c.options()
	o.LogFile = logFile
	return process.Start(o)
}
