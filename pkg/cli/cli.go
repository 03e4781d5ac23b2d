// Package cli is what a person does and sees: the commands of skyctl, how they show data and progress, and the codes
// they end with. It links no server and no cloud.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
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
	env.Out, env.Err = &sanitizingWriter{to: env.Out}, &sanitizingWriter{to: env.Err}
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

// showHelp shows the help of a command, and refuses words that name none.
func showHelp(root *cobra.Command, words []string) error {
	cmd, rest, err := root.Find(words)
	if err != nil {
		return usageErrorf("%w", err)
	}
	if err := refuseUnknownSubcommand(cmd, rest); err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag() // makes it show among the flags
	return cmd.Help()
}

// newHelpTopic is a page of help that is no command.
func newHelpTopic(name, short, long string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), cmd.Long) })
	return cmd
}

// newCommandGroup is a command that only holds others.
func newCommandGroup(use, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: refuseUnknownSubcommand,
		RunE: refuseMissingSubcommand, DisableFlagsInUseLine: true}
	cmd.AddCommand(subs...)
	return cmd
}

// refuseMissingSubcommand is what a command does that needs another one after it.
func refuseMissingSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageErrorf("%s what? One of: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// refuseUnknownSubcommand refuses a word that is no subcommand, and says which may have been meant.
func refuseUnknownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageErrorf("%s; did you mean %s?", msg, strings.Join(near, " or "))
	}
	return usageErrorf("%s; see %s --help", msg, cmd.CommandPath())
}

// requireOneArg takes exactly one argument, the name of a cluster, whatever it looks like.
func requireOneArg(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageErrorf("the name of a cluster is missing: %s NAME", cmd.CommandPath())
	case 1:
		return nil
	}
	return usageErrorf("%s takes one name, not %d (%s)", cmd.CommandPath(), len(args), strings.Join(args, " "))
}

// requireClusterName is requireOneArg with a name that a cluster can have.
func requireClusterName(cmd *cobra.Command, args []string) error {
	if err := requireOneArg(cmd, args); err != nil {
		return err
	}
	return api.ValidateName(args[0])
}

func refuseArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments, yet was given %s", cmd.CommandPath(), strings.Join(args, " "))
	}
	return nil
}

// normalizeFlagName lets every flag be spelled with dashes and with underscores; SkyShift's names carry the latter.
func normalizeFlagName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch dashed := strings.ReplaceAll(name, "_", "-"); dashed {
	case "num-nodes", "disk-size", "use-spot", "max-hourly-cost", "image-id", "kubernetes-version", "api-cidr",
		"api-access", "gpu-stack", "gpu-taint":
		return pflag.NormalizedName(strings.ReplaceAll(dashed, "-", "_"))
	default:
		return pflag.NormalizedName(dashed)
	}
}
