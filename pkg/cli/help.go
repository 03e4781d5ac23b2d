package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
)

func optionsHelp(flags *pflag.FlagSet, width int) string {
	return `Every command takes these flags. You can also set each of them in the environment, or in
config.yaml in the state directory (~/.skyconf). A flag overrides the environment, and the
environment overrides the file. --context, --quiet and --verbose are flags only.

` + strings.TrimRight(flags.FlagUsagesWrapped(width), "\n")
}

// settingsHelp lists every setting.
func settingsHelp() string {
	rows := [][]string{{"config.yaml", "environment", "default"}}
	for _, s := range config.ListSettings() {
		rows = append(rows, []string{s.Key, "$" + s.Variable, s.Default})
	}
	return `Settings are read from flags (skyctl help options), the environment, and config.yaml in the state
directory (~/.skyconf). A flag overrides the environment, and the environment overrides the file.
In the file you can write a key such as rke2.version with its dot, or nested below its heading.

An unknown key below one of these headings is an error, and so is a heading that looks like one
of them. Other headings belong to other programs: skyctl ignores them and prints a note. It also
ignores an unknown variable $SKYCTL_... and prints a note.

rke2.config, rke2.registries, rke2.env and rke2.images in the file have the form of a cluster's file
(skyctl explain cluster.spec.rke2). A create adds their entries to the cluster's own.

  ` + strings.Join(render.AlignColumns(rows), "\n  ")
}

const exitCodesHelp = `Every command exits with one of these codes:

  0    success
  1    the operation failed: a cluster went to ERROR, a file could not be written;
       with skyctl diff: there is a difference
  2    bad input: a flag, an argument, a setting; nothing was written or launched
  3    the cluster exists already, its state does not allow the command, or somebody else has just
       changed it
  4    the cluster, pool, machine, snapshot, secret or orphan does not exist
  5    etcd, Temporal, the worker or skyd cannot be reached or started, or a machine cannot be reached
  6    --timeout passed while waiting; the operation continues
  130  interrupted with Ctrl-C; an operation that was started continues

skyctl ssh with a command, and skyctl exec on one machine, exit with the code of that command.`

// Help is as wide as the terminal within these bounds; elsewhere it has helpWidth.
const minHelpWidth, helpWidth, maxHelpWidth = 60, 80, 120

// chooseHelpWidth returns the width of help.
func (a *app) chooseHelpWidth() int {
	if a.helpWidth != 0 {
		return a.helpWidth
	}
	width, known := terminal.ReadWidth(a.env.Out)
	if !known {
		return helpWidth
	}
	return min(max(width, minHelpWidth), maxHelpWidth)
}

// fitHelp makes the help of all commands fit a width.
func fitHelp(root *cobra.Command, width int) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(cmd.OutOrStderr(), renderUsage(cmd, width))
		return err
	})
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		var page bytes.Buffer
		cmd.SetOut(&page)
		show(cmd, args)
		cmd.SetOut(out)
		io.WriteString(out, render.FitHelp(page.String(), width))
	})
}

// renderUsage returns what stands below the description in the help of a command: how it is called, examples, its
// subcommands and its flags.
func renderUsage(cmd *cobra.Command, width int) string {
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " [command]"
	}
	parts := []string{"Usage:\n  " + line}
	if len(cmd.Aliases) > 0 {
		parts = append(parts, "Aliases:\n  "+cmd.NameAndAliases())
	}
	if cmd.HasExample() {
		parts = append(parts, "Examples:\n"+cmd.Example)
	}
	parts = append(parts, listSubcommands(cmd)...)
	if flags := cmd.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
		for _, s := range splitIntoSections(flags) {
			parts = append(parts, s.title+":\n"+strings.TrimRight(s.flags.FlagUsagesWrapped(width), "\n"))
		}
	}
	if cmd.HasHelpSubCommands() {
		isTopic := (*cobra.Command).IsAdditionalHelpTopicCommand
		parts = append(parts, listCommands("More help", "skyctl help ", cmd, isTopic))
	}
	return strings.Join(append(parts, "skyctl help options lists the flags that all commands have."), "\n\n") + "\n"
}

// listSubcommands returns the lists of the subcommands of a command, each with its heading.
func listSubcommands(cmd *cobra.Command) []string {
	if !cmd.HasAvailableSubCommands() {
		return nil
	}
	isListed := func(c *cobra.Command) bool { return c.IsAvailableCommand() || c.Name() == "help" }
	if len(cmd.Groups()) == 0 {
		return []string{listCommands("Commands", "", cmd, isListed)}
	}
	var lists []string
	for _, g := range cmd.Groups() {
		lists = append(lists, listCommands(g.Title, "", cmd, func(c *cobra.Command) bool {
			return isListed(c) && c.GroupID == g.ID
		}))
	}
	return lists
}

// listCommands returns a list of the subcommands that are wanted, with its heading.
func listCommands(title, before string, cmd *cobra.Command, isWanted func(*cobra.Command) bool) string {
	lines := title + ":"
	for _, c := range cmd.Commands() {
		if isWanted(c) {
			lines += fmt.Sprintf("\n  %s%-*s %s", before, c.NamePadding(), c.Name(), c.Short)
		}
	}
	return lines
}

// showHelp shows the help of a command, and refuses unknown commands.
func showHelp(root *cobra.Command, words []string) error {
	cmd, rest, err := root.Find(words)
	if err != nil {
		return usageErrorf("%w", err)
	}
	if err := refuseUnknownSubcommand(cmd, rest); err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag() // lists --help among the flags
	return cmd.Help()
}

// newHelpTopic returns a page of help that is not a command.
func newHelpTopic(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long}
}
