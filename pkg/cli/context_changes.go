package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/contexts"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newUseContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "use-context NAME",
		Short: "Make a context the current one",
		Long: `Makes a context the current one: commands use its installation unless --config-dir, --context or
$SKYCONF_DIR says otherwise. skyctl config use-context default goes back to ~/.skyconf.

skyctl use is something else: it chooses the cluster that your kubectl uses.`,
		Example: `  skyctl config use-context team
  skyctl config use-context default`,
		Args:              requireContextName,
		ValidArgsFunction: a.completeOneContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.useContext(cmd.Context(), args[0])
		},
	}
}

// requireContextName accepts exactly one argument, the name of a context.
func requireContextName(cmd *cobra.Command, args []string) error {
	return requireOneArgFor(cmd, args, "a context")
}

func (a *app) useContext(ctx context.Context, name string) error {
	file := a.contextsFile()
	all, err := file.Read()
	if err == nil {
		err = all.RequireContext(name)
	}
	if err != nil {
		return err
	}
	chosen := contexts.Choice{Context: name, Dir: config.DefaultDir(a.env.Getenv)}
	if found, exists := all.FindContext(name); exists {
		chosen.Dir = found.Dir
	}
	if err := chosen.CheckDir(); err != nil {
		return err
	}
	if err := file.UseContext(ctx, name); err != nil {
		return err
	}
	fmt.Fprintf(a.env.Out, "Switched to context %s (%s).\n", name, printable.Line(chosen.Dir))
	all.Current = name
	a.noteEffectiveContext(all)
	return nil
}

func (a *app) newSetContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set-context NAME --config-dir DIR",
		Short: "Add a context, or change its directory",
		Long: `Adds a context: a name for the installation in the state directory DIR. If there is a context of that
name, its directory is changed. A relative DIR is made absolute, and ~/ is your home directory. The
directory itself is not changed.

The contexts are in skyctl/contexts.yaml below $XDG_CONFIG_HOME (~/.config). Comments in it stay.`,
		Example: `  skyctl config set-context team --config-dir ~/.skyconf-team
  skyctl --context team get clusters`,
		Args:              requireContextName,
		ValidArgsFunction: a.completeChangeableContext,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.setContext(cmd, args[0]) },
	}
}

func (a *app) setContext(cmd *cobra.Command, name string) error {
	if err := contexts.CheckName(name); err != nil {
		return err
	}
	dir, err := a.readContextDir(cmd, name)
	if err != nil {
		return err
	}
	file := a.contextsFile()
	all, err := file.Read()
	if err != nil {
		return err
	}
	if err := file.SetContext(cmd.Context(), name, dir); err != nil {
		return err
	}
	before, existed := all.FindContext(name)
	text := "Added context %s (%s).\n"
	switch {
	case existed && before.Dir == dir:
		text = "Context %s is unchanged (%s).\n"
	case existed:
		text = "Changed context %s (%s).\n"
	}
	fmt.Fprintf(a.env.Out, text, name, printable.Line(dir))
	if warning := warnOfEmptyInstallation(dir); warning != "" {
		fmt.Fprintln(a.env.Err, "Warning: "+printable.Line(warning))
	}
	if !existed {
		fmt.Fprintf(a.notes(), "To use it: skyctl config use-context %s\n", name)
	}
	return nil
}

// readContextDir returns the value of --config-dir as an absolute path.
func (a *app) readContextDir(cmd *cobra.Command, name string) (string, error) {
	given, _ := a.flags.GetString(config.DirFlag) // "" without the flag
	if given == "" {
		return "", usageErrorf("missing the directory of context %[1]s: %[2]s %[1]s --%[3]s DIR", name,
			cmd.CommandPath(), config.DirFlag)
	}
	if printable.Line(given) != given {
		return "", usageErrorf("%q is not the directory of a context: it has characters that cannot be printed", given)
	}
	expanded := contexts.ExpandHome(given, a.env.Getenv("HOME"))
	if strings.HasPrefix(expanded, "~") {
		return "", usageErrorf("the home directory in %q is unknown: skyctl knows only ~/, which is $HOME; give an "+
			"absolute path", given)
	}
	dir, err := filepath.Abs(expanded)
	if err != nil {
		return "", usageErrorf("%q is relative, and the current directory is unknown (%w): give an absolute path",
			given, err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return "", usageErrorf("%s is not a directory: give the state directory of an installation", dir)
	}
	return dir, nil
}

// warnOfEmptyInstallation says that a directory has nothing of an installation; it is empty if it has.
func warnOfEmptyInstallation(dir string) string {
	cfg := &config.Config{Dir: dir}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Sprintf("%s does not exist. For a new installation: mkdir -m 700 %[1]s", dir)
	}
	if _, err := os.Stat(cfg.ConfigFile()); err == nil {
		return ""
	}
	if state, err := hasState(cfg); err != nil || state {
		return ""
	}
	return fmt.Sprintf("%s has no config.yaml and no state of a server: commands begin a new installation there", dir)
}

func (a *app) newRenameContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename-context NAME NEW-NAME",
		Short: "Give a context another name",
		Long: `Gives a context another name. If it is the current one, it stays so. The context default keeps its
name.`,
		Example: `  skyctl config rename-context team vision`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageErrorf("%s takes the name of a context and a new one: %[1]s NAME NEW-NAME",
					cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: a.completeChangeableContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.contextsFile().RenameContext(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.env.Out, "Renamed context %s to %s.\n", args[0], args[1])
			return err
		},
	}
}

func (a *app) newDeleteContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete-context NAME",
		Short: "Remove a context; the installation stays",
		Long: `Removes a context. Its installation, with its directory, clusters and machines, stays: skyctl uninstall
removes an installation, and its contexts with it. If the context is the current one, default is
current afterwards.`,
		Example:           `  skyctl config delete-context team`,
		Args:              requireContextName,
		ValidArgsFunction: a.completeChangeableContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.deleteContext(cmd.Context(), args[0])
		},
	}
}

func (a *app) deleteContext(ctx context.Context, name string) error {
	if name == contexts.Default {
		return contexts.CheckName(name)
	}
	file := a.contextsFile()
	all, err := file.Read()
	if err == nil {
		err = all.RequireContext(name)
	}
	if err != nil {
		return err
	}
	if err := file.DeleteContexts(ctx, name); err != nil {
		return err
	}
	found, _ := all.FindContext(name)
	fmt.Fprintf(a.env.Out, "Deleted context %s. Its directory stays: %s\n", name, printable.Line(found.Dir))
	if all.Current == name {
		a.noteCurrentContext()
	}
	return nil
}

// noteCurrentContext says which context is current after one was deleted.
func (a *app) noteCurrentContext() {
	if all, err := a.contextsFile().Read(); err == nil {
		a.printNote("the current context is " + all.CurrentName())
	}
}

// findOwnContexts returns the names of the contexts whose installation is in a directory. If the contexts cannot be
// read, problem says so.
func (a *app) findOwnContexts(dir string) (names []string, problem string) {
	all, err := a.contextsFile().Read()
	if err != nil {
		return nil, "Contexts of this installation stay, if there are any: " + err.Error()
	}
	here, _ := os.Stat(dir) // nil if it is gone
	for _, c := range all.Named {
		there, err := os.Stat(c.Dir)
		if c.Dir == dir || err == nil && here != nil && os.SameFile(here, there) {
			names = append(names, c.Name)
		}
	}
	return names, ""
}
