package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
)

func optionsHelp(flags *pflag.FlagSet) string {
	return `Every command takes these flags. Each of them may also stand in the environment, or in
config.yaml in the state directory (~/.skyconf); a flag wins over the environment, and the
environment over the file.

` + strings.TrimRight(flags.FlagUsages(), "\n")
}

// settingsHelp lists every setting.
func settingsHelp() string {
	rows := [][]string{{"config.yaml", "environment", "default"}}
	for _, s := range config.ListSettings() {
		rows = append(rows, []string{s.Key, "$" + s.Variable, s.Default})
	}
	return `Settings are read from flags (skyctl help options), the environment, and config.yaml in the state
directory (~/.skyconf); a flag wins over the environment, and the environment over the file. In
the file a key such as rke2.version may be written with its dot, or below its heading.

A key below one of these headings that is no setting is an error, and so is a heading that looks
like one of them. Other headings are another program's: they are left alone, with a note. A
variable $SKYCTL_... that is no setting does nothing, and is named in a note.

` + strings.Join(render.AlignColumns(rows), "\n")
}

const exitCodesHelp = `Every command ends with one of these codes:

  0    it did what was asked
  1    the operation failed: a cluster ended in ERROR, a file could not be written
  2    bad input: a flag, an argument, a setting; nothing was written or launched
  3    the cluster exists already, or its state forbids what was asked
  4    there is no such cluster
  5    etcd, Temporal, its worker or skyd can't be reached or started
  6    the time given for waiting is over; the work goes on
  130  interrupted with Ctrl-C; work that was started goes on`

// usageTemplate is cobra's with the flags of all commands moved to a page of their own.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} [command]{{else}}{{.UseLine}}{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalNonPersistentFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More help:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{.Root.Name}} help {{rpad .Name 11}} {{.Short}}{{end}}{{end}}{{end}}

skyctl help options lists the flags that every command takes.
`

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
