package cli

import "github.com/spf13/cobra"

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
	for _, s := range a.newCommandSections() {
		s.addTo(root)
	}
	root.AddCommand(newHelpTopic("exit-codes", "Exit codes of commands", exitCodesHelp),
		newHelpTopic("output", "Output formats", outputHelp),
		newHelpTopic("settings", "Settings and where they are read from", settingsHelp()),
		newHelpTopic("options", "Flags that all commands have", optionsHelp(a.flags, width)))
	addCobraCommands(root)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.completePersistentFlags(root)
	return root
}

// commandSection is a part of the list of commands in skyctl --help.
type commandSection struct {
	title    string
	commands []*cobra.Command
}

// helpSection has the commands that cobra makes too.
const helpSection = "Help and more"

// newCommandSections returns all commands, in the order of skyctl --help.
func (a *app) newCommandSections() []commandSection {
	return []commandSection{
		{"Create and change clusters", []*cobra.Command{a.newCreateCommand(), a.newScaleCommand(), a.newEditCommand(),
			a.newLabelCommand(), a.newReplaceCommand(), a.newStopCommand(), a.newStartCommand(),
			a.newDeleteCommand()}},
		{"Look and wait", []*cobra.Command{a.newGetCommand(), a.newDescribeCommand(), a.newWaitCommand()}},
		{"Use clusters and machines", []*cobra.Command{a.newKubectlCommand(), a.newUseCommand(), a.newTunnelCommand(),
			a.newSSHCommand(), a.newExecCommand(), a.newCopyCommand(), a.newLogsCommand()}},
		{"Clusters as files", []*cobra.Command{a.newApplyCommand(), a.newDiffCommand(), a.newExplainCommand(),
			a.newSchemaCommand()}},
		{"Check, repair and restore", []*cobra.Command{a.newCheckCommand(), a.newReconcileCommand(),
			a.newPauseCommand(), a.newResumeCommand(), a.newVerifyCommand(), a.newRestoreCommand(),
			a.newDebugCommand()}},
		{"Server and settings", []*cobra.Command{a.newServerCommand(), a.newConfigCommand(),
			a.newUninstallCommand()}},
		{helpSection, []*cobra.Command{a.newPluginCommand(), a.newVersionCommand()}},
	}
}

// addTo adds the section and its commands to the root command.
func (s commandSection) addTo(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: s.title, Title: s.title})
	for _, cmd := range s.commands {
		cmd.GroupID = s.title
		root.AddCommand(cmd)
	}
}

// addCobraCommands adds the commands that cobra makes, help and completion, which then refuse unknown arguments.
func addCobraCommands(root *cobra.Command) {
	root.SetHelpCommandGroupID(helpSection)
	root.SetCompletionCommandGroupID(helpSection)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	help, completion := findSubcommand(root, "help"), findSubcommand(root, "completion")
	help.Short = "Show the help of a command, or of a topic"
	help.Long = "Shows the help of a command, as --help does, or of a topic.\n" +
		"skyctl --help lists the topics at its end."
	help.Example = "  skyctl help create cluster\n  skyctl help exit-codes"
	completion.Short = "Print the script that completes commands in a shell"
	completion.Long = "Prints a script with which a shell completes the commands of skyctl, their flags, and names " +
		"of\nclusters. To set it up, see the help of your shell, such as skyctl completion bash --help."
	help.Run, help.RunE = nil, func(_ *cobra.Command, args []string) error { return showHelp(root, args) }
	completion.Args, completion.RunE = refuseUnknownSubcommand, refuseMissingSubcommand
	for _, shell := range completion.Commands() {
		adaptCompletion(root, shell)
	}
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
