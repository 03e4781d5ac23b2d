// Package cli has the commands of skyctl and their exit codes. It links no server and no cloud.
package cli

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
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
}

// SystemEnvironment is the environment of a real process.
func SystemEnvironment() Environment {
	return Environment{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		Now: time.Now, Skyd: daemon.FindSkyd}
}

// Run runs one command and returns its exit code. Ctrl-C cancels ctx.
func Run(ctx context.Context, env Environment, args []string) int {
	if env.Getenv("TERM") == "dumb" {
		env.Err = struct{ io.Writer }{env.Err} // hides that it is a terminal: skyctl cannot draw on it
	}
	env.Out, env.Err = &terminal.SanitizingWriter{To: env.Out}, &terminal.SanitizingWriter{To: env.Err}
	a := &app{env: env}
	defer a.closeClient()
	root := a.newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && exitCode(err) != ExitInterrupted {
		err = ctx.Err() // the interruption is the cause
	}
	printError(env.Err, err)
	return exitCode(err)
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

		PersistentPreRun: func(cmd *cobra.Command, _ []string) { a.command = cmd },

		DisableFlagsInUseLine: true,
	}
	root.SetIn(a.env.In)
	root.SetOut(a.env.Out)
	root.SetErr(a.env.Err)
	root.SetGlobalNormalizationFunc(normalizeFlagName)
	root.SetFlagErrorFunc(toFieldError)
	root.SetUsageTemplate(usageTemplate)
	config.BindFlags(root.PersistentFlags())
	a.flags = root.PersistentFlags()
	root.AddCommand(a.newCreateCommand(), a.newGetCommand(), a.newDescribeCommand(), a.newDiffCommand(),
		a.newApplyCommand(), a.newEditCommand(), a.newExplainCommand(), a.newSchemaCommand(), a.newScaleCommand(),
		a.newLabelCommand(), a.newReplaceCommand(), a.newDeleteCommand(), a.newReconcileCommand(), a.newPauseCommand(),
		a.newResumeCommand(),
		a.newCheckCommand(), a.newTunnelCommand(),
		a.newServerCommand(), a.newVersionCommand(),
		newHelpTopic("exit-codes", "Exit codes of commands", exitCodesHelp),
		newHelpTopic("settings", "Settings and where they are read from", settingsHelp()),
		newHelpTopic("options", "Flags of every command", optionsHelp(root.PersistentFlags())))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error { return showHelp(root, args) }
		case "completion":
			cmd.Args, cmd.RunE = refuseUnknownSubcommand, refuseMissingSubcommand
			for _, shell := range cmd.Commands() {
				shell.Args = refuseArgs
			}
		}
	}
	return root
}

// newCommandGroup returns a command that only has subcommands.
func newCommandGroup(use, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: refuseUnknownSubcommand,
		RunE: refuseMissingSubcommand, DisableFlagsInUseLine: true}
	cmd.AddCommand(subs...)
	return cmd
}
