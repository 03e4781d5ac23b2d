// Package cli is what a person does and sees: the commands of skyctl, how they show data and progress, and the codes
// they end with. It links no server and no cloud.
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

// Environment is everything that commands touch of the process they run in.
type Environment struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// Environ is the whole environment, as os.Environ gives it; nil where misspelt names are not looked for.
	Environ func() []string
	Now     func() time.Time
	// Skyd finds the program that is started where nothing runs.
	Skyd func() (string, error)
}

// SystemEnvironment is the environment of a real process.
func SystemEnvironment() Environment {
	return Environment{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		Now: time.Now, Skyd: daemon.FindSkyd}
}

// Run runs one command and returns its exit code. The end of ctx is Ctrl-C.
func Run(ctx context.Context, env Environment, args []string) int {
	if env.Getenv("TERM") == "dumb" {
		env.Err = struct{ io.Writer }{env.Err} // no longer known as a terminal: it could not be drawn on
	}
	env.Out, env.Err = &terminal.SanitizingWriter{To: env.Out}, &terminal.SanitizingWriter{To: env.Err}
	a := &app{env: env}
	defer a.closeClient()
	root := a.newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && exitCode(err) != ExitInterrupted {
		err = ctx.Err() // whatever broke, broke because of the interruption
	}
	printError(env.Err, err)
	return exitCode(err)
}

func (a *app) newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "skyctl",
		Short: "Kubernetes clusters with one command",
		Long: `skyctl gives you a Kubernetes cluster (RKE2) with one command, and brings up the machines
for it: the cheapest that fit, on any cloud that SkyPilot knows, or hosts on this machine's own
Docker. skyctl check says which clouds can be used, and what the others lack.

With nothing configured and nothing running, the first command starts a server (skyd) in the
background, which does the work; see skyctl help server.`,
		Example: `  # three nodes on this machine's Docker, two CPUs each
  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3 --wait

  # what there is, and how far it has come
  skyctl get clusters
  skyctl describe cluster dev`,
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
	root.AddCommand(a.newCreateCommand(), a.newGetCommand(), a.newDescribeCommand(), a.newDeleteCommand(),
		a.newReconcileCommand(), a.newPauseCommand(), a.newResumeCommand(), a.newCheckCommand(), a.newTunnelCommand(),
		a.newServerCommand(), a.newVersionCommand(),
		newHelpTopic("exit-codes", "The codes that commands end with", exitCodesHelp),
		newHelpTopic("settings", "What can be set, and how it is read", settingsHelp()),
		newHelpTopic("options", "The flags that every command takes", optionsHelp(root.PersistentFlags())))
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

// newCommandGroup is a command that only holds others.
func newCommandGroup(use, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: refuseUnknownSubcommand,
		RunE: refuseMissingSubcommand, DisableFlagsInUseLine: true}
	cmd.AddCommand(subs...)
	return cmd
}
