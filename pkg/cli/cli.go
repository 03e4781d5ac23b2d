// Package cli has the commands of skyctl and their exit codes. It links no server and no cloud.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
)

// Environment is the part of the process that commands use.
type Environment struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// Environ returns all variables, as os.Environ does. If it is nil, unknown variables are not reported.
	Environ func() []string
	Now     func() time.Time
	// Skyd finds the program that is started if no server is running.
	Skyd func() (string, error)
	// Computer has the service manager. If it is nil, no service is looked for or installed.
	Computer *service.Computer
	// Exec replaces this process by another program, as execve does. If it is nil, no plugin runs.
	Exec func(program string, args, environ []string) error
	// Patience is how much longer than usual a command waits for what it otherwise soon goes on without: completions,
	// and the answers of servers in a check. It is 0 but in tests, whose computer may be busy.
	Patience time.Duration
}

// SystemEnvironment is the environment of a real process.
func SystemEnvironment() Environment {
	return Environment{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		Now: time.Now, Skyd: daemon.FindSkyd, Computer: service.ThisComputer(os.Getenv),
		Exec: syscall.Exec}
}

// Run runs one command and returns its exit code. Ctrl-C cancels ctx.
func Run(ctx context.Context, env Environment, args []string) int {
	if env.Getenv("TERM") == "dumb" {
		env.Err = struct{ io.Writer }{env.Err} // hides that it is a terminal: skyctl cannot draw on it
	}
	env.Out = &terminal.SanitizingWriter{To: env.Out, Colored: wantsColors(env)}
	env.Err = &terminal.SanitizingWriter{To: env.Err}
	a := &app{env: env}
	root := a.newRootCommand()
	if isCompletionRequest(args) {
		a.addPluginsForCompletion(root)
	}
	code := ExitOK
	for i, line := range arrangeArgs(root, args) {
		if i > 0 {
			a.separateOutput()
			a = &app{env: env}
			root = a.newRootCommand()
		}
		if c := a.runLine(ctx, root, line); code == ExitOK {
			code = c
		}
	}
	return code
}

// wantsColors is true if results go to a terminal that shows colours, and the person wants them (https://no-color.org).
func wantsColors(env Environment) bool {
	return env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb" && terminal.IsTerminal(env.Out)
}

// runLine runs one command line and returns its exit code.
func (a *app) runLine(ctx context.Context, root *cobra.Command, args []string) int {
	defer a.closeClient()
	a.args = args
	root.SetArgs(args)
	a.repeatContextInHints(root)
	err := a.replaceByPlugin(root, args)
	if err == nil {
		err = refuseSeparateLevel(args)
	}
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		err = a.helpErr
	}
	if err != nil && ctx.Err() != nil && exitCode(err) != ExitInterrupted {
		err = ctx.Err() // the interruption is the cause
	}
	a.printError(err)
	return exitCode(err)
}

// NewCommandTree returns all commands for documents and completions. It is not for running them.
func NewCommandTree() *cobra.Command {
	root := (&app{env: SystemEnvironment()}).newRootCommand()
	root.InitDefaultHelpFlag()
	return root
}

// separateOutput separates the objects of one kind from those of the next.
func (a *app) separateOutput() {
	switch form := a.outputForm(); {
	case form == render.AsYAML:
		fmt.Fprintln(a.env.Out, "---")
	case !form.IsStructured():
		fmt.Fprintln(a.env.Out)
	}
}
