package cli

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
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

` + strings.Join(render.AlignColumns(rows), "\n")
}

const exitCodesHelp = `Every command exits with one of these codes:

  0    success
  1    the operation failed: a cluster went to ERROR, a file could not be written;
       with skyctl diff: there is a difference
  2    bad input: a flag, an argument, a setting; nothing was written or launched
  3    the cluster exists already, its state does not allow the command, or somebody else has just
       changed it
  4    the cluster, pool, machine or snapshot does not exist
  5    etcd, Temporal, the worker or skyd cannot be reached or started, or a machine cannot be reached
  6    --timeout passed while waiting; the operation continues
  130  interrupted with Ctrl-C; an operation that was started continues

skyctl ssh with a command, and skyctl exec on one machine, exit with the code of that command.`

// usageTemplate is cobra's, with the flags of every command on a page of their own, and WIDTH for the width of lines.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} [command]{{else}}{{.UseLine}}{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalNonPersistentFlags.FlagUsagesWrapped WIDTH | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More help:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{.Root.Name}} help {{rpad .Name 11}} {{.Short}}{{end}}{{end}}{{end}}

skyctl help options lists the flags of every command.
`

// Help is as wide as the terminal within these bounds; elsewhere it has helpWidth.
const minHelpWidth, helpWidth, maxHelpWidth = 60, 100, 120

// chooseHelpWidth returns the width of help.
func (a *app) chooseHelpWidth() int {
	width, known := terminal.ReadWidth(a.env.Out)
	if !known {
		return helpWidth
	}
	return min(max(width, minHelpWidth), maxHelpWidth)
}

// fitHelp makes the help of all commands fit a width.
func fitHelp(root *cobra.Command, width int) {
	root.SetUsageTemplate(strings.ReplaceAll(usageTemplate, "WIDTH", strconv.Itoa(width)))
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
	cmd := &cobra.Command{Use: name, Short: short, Long: long}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), cmd.Long) })
	return cmd
}
