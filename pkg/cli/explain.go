package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
)

func (a *app) newExplainCommand() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "explain cluster[.FIELD...]",
		Short: "Describe the fields of a cluster file",
		Long: `Describes a field of a cluster file: what it is, which values it takes, its default, and how it changes
on a cluster that exists. A field that never changes says why, and what to do instead. For an object
it lists the fields; --recursive lists the whole tree below it.

The command needs no server.`,
		Example: `  skyctl explain cluster
  skyctl explain cluster.spec.pools
  skyctl explain cluster.spec.pools.machine.cpus
  skyctl explain cluster --recursive`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return usageErrorf("missing the field: %s cluster.FIELD, such as cluster.spec.pools", cmd.CommandPath())
			case 1:
				return nil
			}
			return usageErrorf("%s takes one field, not %d (%s)", cmd.CommandPath(), len(args), strings.Join(args, " "))
		},
		ValidArgsFunction: completeFieldPaths,
	}
	cmd.Flags().BoolVar(&recursive, "recursive", false, "list the fields of the fields too")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		text, err := render.NewExplainPage(api.FileFields()).Explain(args[0], recursive)
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.env.Out, text)
		return err
	}
	return cmd
}

// completeFieldPaths offers the next part of a path. An object is followed by its fields, so the shell adds no space.
func completeFieldPaths(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page := render.NewExplainPage(api.FileFields())
	var paths []string
	directive := cobra.ShellCompDirectiveNoFileComp
	for _, path := range page.CompletePaths(typed) {
		name, _, _ := strings.Cut(path, "\t")
		if !strings.HasPrefix(name, typed) {
			continue
		}
		paths = append(paths, path)
		if page.HasFields(name) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
	}
	return paths, directive
}
