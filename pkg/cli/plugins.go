package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/cli/plugin"
	"github.com/sky-shift/skyctl/pkg/cli/render"
)

// replaceByPlugin replaces this process by a plugin if the arguments name one and no command of skyctl. It returns only
// if there is none, or if it cannot be started.
func (a *app) replaceByPlugin(root *cobra.Command, args []string) error {
	if a.env.Exec == nil || len(args) == 0 || isCompletionRequest(args) || isBuiltIn(root, args) {
		return nil
	}
	path := a.env.Getenv("PATH")
	program, words, found := plugin.Find(path, args)
	if !found {
		return refuseFlagsBeforePlugin(root, path, args)
	}
	err := a.env.Exec(program, append([]string{program}, args[words:]...), a.environ())
	return fmt.Errorf("running the plugin %s: %w; a script needs a first line such as #!/bin/sh", program, err)
}

func (a *app) environ() []string {
	if a.env.Environ == nil {
		return nil
	}
	return a.env.Environ()
}

// isBuiltIn reports whether arguments begin with a command of skyctl.
func isBuiltIn(root *cobra.Command, args []string) bool {
	cmd, _, err := root.Find(args)
	return err != nil || cmd != root
}

// refuseFlagsBeforePlugin refuses the flags of every command before the name of a plugin, which does not get them.
func refuseFlagsBeforePlugin(root *cobra.Command, path string, args []string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SetInterspersed(false)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		flags.StringP(f.Name, f.Shorthand, "", "")
		flags.Lookup(f.Name).NoOptDefVal = f.NoOptDefVal
	})
	if flags.Parse(args) != nil || flags.NArg() == len(args) {
		return nil
	}
	if _, words, found := plugin.Find(path, flags.Args()); found {
		return usageErrorf("flags cannot stand before the name of a plugin: write them behind skyctl %s",
			strings.Join(flags.Args()[:words], " "))
	}
	return nil
}

func (a *app) newPluginCommand() *cobra.Command {
	return newCommandGroup("plugin", "Commands that other programs add",
		`A plugin is a program on PATH whose name begins with skyctl-. The program skyctl-foo is the command
skyctl foo, and skyctl-foo-bar is skyctl foo bar. A dash inside a word is an underscore in the name:
skyctl-foo_bar is skyctl foo-bar. A plugin gets all arguments behind its name and the environment,
and its exit code is that of skyctl. No plugin replaces a command of skyctl.

The program skyctl_complete-foo, if there is one, completes the arguments of skyctl foo: it gets the
words behind foo and prints one completion per line.`, `  skyctl plugin list`, a.newPluginListCommand())
}

func (a *app) newPluginListCommand() *cobra.Command {
	var nameOnly bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the plugins on PATH",
		Long: `Lists the plugins on PATH, in the order in which skyctl finds them. It warns of plugins that cannot
run: files that are not executable, and names that a command of skyctl or another plugin has. With a
warning the exit code is 1.`,
		Example: `  skyctl plugin list
  skyctl plugin list --name-only`,
		Args: refuseArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listPlugins(cmd.Root(), nameOnly) },
	}
	cmd.Flags().BoolVar(&nameOnly, "name-only", false, "show names without the table")
	return cmd
}

func (a *app) listPlugins(root *cobra.Command, nameOnly bool) error {
	rows := [][]string{{"NAME", "PROGRAM"}}
	if nameOnly {
		rows = nil
	}
	var warnings []string
	plugins := plugin.List(a.env.Getenv("PATH"))
	for _, p := range plugins {
		row := []string{strings.Join(p.Words, " "), p.Path}
		if nameOnly {
			row = row[:1]
		}
		rows = append(rows, row)
		if why := explainHiddenPlugin(root, p); why != "" {
			warnings = append(warnings, p.Path+" "+why)
		}
	}
	if len(plugins) == 0 {
		fmt.Fprintln(a.env.Err, "There is no plugin on PATH; see skyctl plugin --help.")
		return nil
	}
	for _, line := range render.AlignColumns(rows) {
		fmt.Fprintln(a.env.Out, line)
	}
	for _, w := range warnings {
		fmt.Fprintln(a.env.Err, "Warning: "+w)
	}
	if len(warnings) > 0 {
		return &reportedError{fmt.Errorf("plugins that cannot run: %d", len(warnings))}
	}
	return nil
}

// explainHiddenPlugin says why a plugin does not run; empty if it does.
func explainHiddenPlugin(root *cobra.Command, p plugin.Program) string {
	cmd, _, _ := root.Find(p.Words) // it has an error only if the command is unknown
	switch {
	case cmd != root:
		return fmt.Sprintf("never runs: %s is a command of skyctl", cmd.CommandPath())
	case !p.Executable:
		return "does not run: the file is not executable (chmod +x)"
	case p.ShadowedBy != "":
		return "does not run: " + p.ShadowedBy + " stands before it on PATH"
	}
	return ""
}

func isCompletionRequest(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// addPluginsForCompletion adds the plugins as commands, so that shells complete their names and arguments.
func (a *app) addPluginsForCompletion(root *cobra.Command) {
	plugins := slices.DeleteFunc(plugin.List(a.env.Getenv("PATH")), func(p plugin.Program) bool {
		return explainHiddenPlugin(root, p) != ""
	})
	for _, p := range plugins {
		parent := root
		for i, word := range p.Words {
			parent = a.addPluginWord(parent, word, p, i == len(p.Words)-1)
		}
	}
}

// addPluginWord adds the command of one word of a plugin's name, and returns it. Several plugins can share a word.
func (a *app) addPluginWord(parent *cobra.Command, word string, p plugin.Program, last bool) *cobra.Command {
	var cmd *cobra.Command
	if i := slices.IndexFunc(parent.Commands(), func(c *cobra.Command) bool { return c.Name() == word }); i >= 0 {
		cmd = parent.Commands()[i]
	} else {
		cmd = &cobra.Command{Use: word, Short: "Plugins", DisableFlagParsing: true}
		parent.AddCommand(cmd)
	}
	if last {
		cmd.Short, cmd.Run = "Plugin "+p.Path, func(*cobra.Command, []string) {}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]string,
			cobra.ShellCompDirective) {
			return a.completePluginArgs(cmd.Context(), p.Words, append(args, toComplete))
		}
	}
	return cmd
}
