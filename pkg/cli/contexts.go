package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/contexts"
)

func (a *app) newGetContextsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get-contexts [NAME...]",
		Short: "List the contexts: names for several installations",
		Long: `Lists the contexts, or those that you name. A context is a name for the state directory of an
installation. The context default is always there; it is ~/.skyconf. The current context has an
asterisk: commands use it unless --config-dir, --context or $SKYCONF_DIR says otherwise.

SERVER is what config.yaml in the directory says: skyd on this computer, or the addresses of etcd.
-o name prints the names alone, as kubectl does.`,
		Example: `  skyctl config get-contexts
  skyctl config get-contexts -o name
  skyctl config get-contexts team -o json`,
		ValidArgsFunction: a.completeMoreContexts,
	}
	output := addListOutputFlags(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return a.showContexts(args, output) }
	return cmd
}

func (a *app) showContexts(names []string, output *outputFlags) error {
	all, err := a.contextsFile().Read()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := all.RequireContext(name); err != nil {
			return err
		}
	}
	list := render.ContextList{Kind: "ContextList", File: a.contextsFile().Path, Items: []render.ContextView{}}
	for _, c := range a.listContexts(all) {
		if len(names) == 0 || slices.Contains(names, c.Name) {
			view := render.ContextView{Name: c.Name, Current: c.Name == all.CurrentName(), ConfigDir: c.Dir}
			view.Server, view.Problem = a.findServersOf(c)
			list.Items = append(list.Items, view)
		}
	}
	if err := sortObjects(output, list.Items); err != nil {
		return err
	}
	switch {
	case output.form() == render.AsName: // without the kind: other commands take the name alone
		for _, c := range list.Items {
			fmt.Fprintln(a.env.Out, c.Name)
		}
		return nil
	case output.isStructured():
		return output.write(a.env.Out, list)
	}
	if err := output.writeTable(a.env.Out, render.NewContextTable(list)); err != nil {
		return err
	}
	a.noteEffectiveContext(all)
	return nil
}

// listContexts returns all contexts, the default one first.
func (a *app) listContexts(all contexts.Contexts) []contexts.Context {
	own := contexts.Context{Name: contexts.Default, Dir: config.DefaultDir(a.env.Getenv)}
	return append([]contexts.Context{own}, all.Named...)
}

// findServersOf says where the objects of an installation are, as its config.yaml alone has it: variables and flags
// of this command are not those of the installation. problem says why that is unknown.
func (a *app) findServersOf(c contexts.Context) (servers, problem string) {
	if err := (contexts.Choice{Context: c.Name, Dir: c.Dir}).CheckDir(); err != nil {
		return "", "the directory does not exist or cannot be read"
	}
	cfg, err := config.Load(nil, func(name string) string {
		return map[string]string{config.EnvDir: c.Dir, "HOME": a.env.Getenv("HOME")}[name]
	})
	switch {
	case err != nil:
		return "", err.Error()
	case !cfg.IsExternal():
		return "embedded skyd", ""
	}
	for _, r := range cfg.ReportSettings() {
		if r.Key == "etcd.endpoints" {
			servers = r.Value // without names and passwords
		}
	}
	return servers, ""
}

// noteEffectiveContext says if the current context is not what commands use here, or does not exist.
func (a *app) noteEffectiveContext(all contexts.Contexts) {
	dir := a.env.Getenv(config.EnvDir)
	switch {
	case dir != "":
		a.printNote(fmt.Sprintf("$%s is set: commands use %s, not the current context. To change that: unset %[1]s",
			config.EnvDir, dir))
	case all.RequireContext(all.CurrentName()) != nil:
		a.printNote(fmt.Sprintf("the current context %q does not exist. To choose one: skyctl config use-context "+
			"NAME", all.Current))
	}
}

func (a *app) newCurrentContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "current-context",
		Short: "Print the name of the current context",
		Long: `Prints the name of the context that commands use unless --config-dir, --context or $SKYCONF_DIR says
otherwise.`,
		Example: `  skyctl config current-context`,
		Args:    refuseArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.contextsFile().Read()
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(a.env.Out, all.CurrentName()); err != nil {
				return err
			}
			a.noteEffectiveContext(all)
			return nil
		},
	}
}

// completeContexts offers the contexts that are not in args, with their directories. A damaged file has none.
func (a *app) completeContexts(args []string, toComplete string, withDefault bool) ([]string,
	cobra.ShellCompDirective) {
	all, _ := a.contextsFile().Read()
	var names []string
	for _, c := range a.listContexts(all) {
		if strings.HasPrefix(c.Name, toComplete) && !slices.Contains(args, c.Name) &&
			(withDefault || c.Name != contexts.Default) {
			names = append(names, c.Name+"\t"+c.Dir)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeContextFlag(_ *cobra.Command, _ []string, toComplete string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeContexts(nil, toComplete, true)
}

func (a *app) completeMoreContexts(_ *cobra.Command, args []string, toComplete string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeContexts(args, toComplete, true)
}

// completeOneContext offers all contexts as the only argument.
func (a *app) completeOneContext(_ *cobra.Command, args []string, toComplete string) ([]string,
	cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeContexts(nil, toComplete, true)
}

// completeChangeableContext offers the contexts but the default one as the first argument.
func (a *app) completeChangeableContext(_ *cobra.Command, args []string, toComplete string) ([]string,
	cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeContexts(nil, toComplete, false)
}
