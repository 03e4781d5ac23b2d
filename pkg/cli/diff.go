package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newDiffCommand() *cobra.Command {
	files, prune := &fileFlags{}, &pruneOptions{}
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what skyctl apply would change",
		Long: `Compares cluster files with the clusters that exist, and shows what skyctl apply does: the fields that
change, then the steps machine by machine, then the price per hour. Nothing is changed.

A field that another command has changed since the last apply is marked with the value of that
apply. A field that cannot change is shown with the reason, and is an error.

With --prune --selector SELECTOR, the clusters that such an apply deletes are shown too.

The exit code is 0 if there is no difference, 1 if there is one, and 2 or more after an error.`,
		Example: `  # what would apply do?
  skyctl diff -f dev.yaml

  # all clusters of a directory, for a program
  skyctl diff -f clusters/ -o json`,
		Args: refuseArgs,
	}
	files.bindFlags(cmd)
	prune.bindFlags(a, cmd)
	cmd.Flags().Lookup("prune").Usage = "also show the clusters that apply --prune would delete; needs -l"
	cmd.Flags().Lookup("selector").Usage = "of these, clusters whose labels match, such as team=vision,env!=prod"
	output := addOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := prune.checkFlags(); err != nil {
			return err
		}
		different, err := a.runDiff(cmd.Context(), files, prune, output)
		switch {
		case err != nil && exitCode(err) == ExitFailed:
			return &codedError{err: err, code: ExitUsage} // 1 is a difference
		case err == nil && different:
			return &reportedError{errDifferent}
		}
		return err
	}
	return cmd
}

// errDifferent sets the exit code of a diff; it is not printed.
var errDifferent = errors.New("the clusters differ from their files")

// runDiff prints the differences, and reports whether there are any.
func (a *app) runDiff(ctx context.Context, files *fileFlags, prune *pruneOptions, output *outputFlags) (bool, error) {
	docs, err := a.readDocuments(ctx, files)
	if err != nil {
		return false, err
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return false, err
	}
	var plans []client.ApplyPlan
	var pruned []api.Cluster
	err = a.runWithSpinner("Comparing "+files.describe(), output.isStructured(), func(s *terminal.Spinner) error {
		plans, err = a.planDocuments(ctx, ops, s, docs, "")
		if err != nil && !output.isStructured() {
			plans = slices.DeleteFunc(plans, func(p client.ApplyPlan) bool { return !isRefused(p) })
			if len(plans) > 0 {
				s.KeepLine()
				err = errors.Join(a.writePlans(plans, &pruneOptions{}, nil, output), err)
			}
		}
		if err != nil {
			return err
		}
		if pruned, err = a.findPruned(ctx, ops, prune, plans); err != nil {
			return err
		}
		s.KeepLine()
		return a.writePlans(plans, prune, pruned, output)
	})
	different := slices.ContainsFunc(plans, func(p client.ApplyPlan) bool { return p.Kind != client.ApplySame })
	return different || len(pruned) > 0, err
}

// writePlans writes what an apply would do, with its warnings on stderr.
func (a *app) writePlans(plans []client.ApplyPlan, prune *pruneOptions, pruned []api.Cluster,
	output *outputFlags) error {
	a.printPlanWarnings(plans)
	page := toPlanPage(plans)
	if prune.on {
		list := render.NewPruneList(pruned, a.env.Now())
		page.Pruned = &list
	}
	if output.isStructured() {
		return output.write(a.env.Out, page)
	}
	return terminal.WritePage(a.env.Out, page.String())
}
