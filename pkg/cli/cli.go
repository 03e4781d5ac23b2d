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
	err := a.replaceByPlugin(root, args)
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

func (a *app) newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "skyctl",
		Short: "Kubernetes clusters with one command",
		Long: `skyctl creates Kubernetes clusters (RKE2) with one command. It launches the cheapest machines
that fit, on any cloud that SkyPilot supports, or on the Docker of this computer. skyctl check
lists the clouds that you can use, and what the others need.

The work is done by a server, skyd. If none is configured or running, the first command starts
one in the background; see skyctl help server.`,
		Example: `  # three nodes on the Docker of this computer, at least two CPUs each
  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3 --wait

  # list clusters and show their progress
  skyctl get clusters
  skyctl describe cluster dev

  # change it: more machines, and a pool of another kind
  skyctl scale cluster dev --num_nodes 5
  skyctl create pool big --cluster dev --cpus 8+ --replicas 2`,
		Args:          refuseUnknownSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRun: a.beginCommand,

		DisableFlagsInUseLine: true,
	}
	root.SetIn(a.env.In)
	root.SetOut(a.env.Out)
	root.SetErr(a.env.Err)
	root.SetGlobalNormalizationFunc(normalizeFlagName)
	root.SetFlagErrorFunc(toFieldError)
	width := a.prepareHelp(root)
	addVersionFlag(root)
	a.bindGlobalFlags(root)
	root.AddCommand(a.newCreateCommand(), a.newGetCommand(), a.newDescribeCommand(), a.newDiffCommand(),
		a.newApplyCommand(), a.newEditCommand(), a.newExplainCommand(), a.newSchemaCommand(), a.newScaleCommand(),
		a.newLabelCommand(), a.newReplaceCommand(), a.newDeleteCommand(), a.newStopCommand(), a.newStartCommand(),
		a.newWaitCommand(), a.newRestoreCommand(), a.newVerifyCommand(), a.newReconcileCommand(), a.newPauseCommand(),
		a.newResumeCommand(), a.newCheckCommand(), a.newTunnelCommand(), a.newSSHCommand(), a.newExecCommand(),
		a.newCopyCommand(), a.newLogsCommand(), a.newDebugCommand(), a.newUseCommand(), a.newKubectlCommand(),
		a.newServerCommand(), a.newConfigCommand(), a.newPluginCommand(), a.newUninstallCommand(),
		a.newVersionCommand(), newHelpTopic("exit-codes", "Exit codes of commands", exitCodesHelp),
		newHelpTopic("output", "Output formats", outputHelp),
		newHelpTopic("settings", "Settings and where they are read from", settingsHelp()),
		newHelpTopic("options", "Flags of every command", optionsHelp(root.PersistentFlags(), width)))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error { return showHelp(root, args) }
		case "completion":
			cmd.Args, cmd.RunE = refuseUnknownSubcommand, refuseMissingSubcommand
			for _, shell := range cmd.Commands() {
				adaptCompletion(root, shell)
			}
		}
	}
	return root
}

// beginCommand runs once the flags of a command are read.
func (a *app) beginCommand(cmd *cobra.Command, _ []string) {
	a.command = cmd
	cmd.SetContext(a.withRequestLog(cmd.Context()))
}

// newCommandGroup returns a command that only has subcommands.
func newCommandGroup(use, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: refuseUnknownSubcommand,
		RunE: refuseMissingSubcommand, DisableFlagsInUseLine: true}
	cmd.AddCommand(subs...)
	return cmd
}
