package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (a *app) newDeleteOrphansCommand() *cobra.Command {
	d := &deleteOrphansOptions{app: a}
	cmd := &cobra.Command{
		Use:     "orphans [NAME...]",
		Aliases: listAliases("orphans"),
		Short:   "Terminate orphaned machines",
		Long: `Lists the orphans: machines with the labels of this installation that belong to no cluster. Then
it terminates all of them, or those you name. A machine that may be a copy of another one is
terminated only if you name it; if several have the same name, use its id on the cloud. Before it
terminates a machine, skyctl checks again that the machine belongs to no cluster.`,
		Example:           "  skyctl delete orphans\n  skyctl delete orphans sky-dev-1 --yes",
		ValidArgsFunction: a.completeOrphanNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask for confirmation")
	d.output = addDeletedOutputFlags(cmd, "orphan")
	return cmd
}

// deleteOrphansOptions is one run of delete orphans.
type deleteOrphansOptions struct {
	*app
	yes    bool
	output *outputFlags
	// all are the orphans that were found, with those that are kept.
	all []api.Orphan
	// skipped: some orphans must be named to be terminated, and were not.
	skipped bool
}

func (d *deleteOrphansOptions) run(ctx context.Context, names []string) error {
	if slices.Contains(names, "") {
		return usageErrorf("the name of an orphan is empty; to terminate all orphans, give no name")
	}
	if !d.yes && !terminal.IsTerminal(d.env.In) {
		return usageErrorf("terminating orphans needs confirmation, and there is no terminal: use --yes")
	}
	ops, err := d.connectClient(ctx)
	if err != nil {
		return err
	}
	found, err := d.findOrphans(ctx, ops, names)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		none := "There are no orphans."
		if d.skipped {
			none = "There are no orphans that are terminated without being named."
		}
		return d.printResult("%s\n", none)
	}
	if !d.yes {
		if err := terminal.WriteTable(d.env.Err, render.NewOrphanTable(found, false, d.env.Now())); err != nil {
			return err
		}
		if err := d.requireConfirmation(ctx, fmt.Sprintf("Terminate %s?", render.FormatCount(len(found), "machine")),
			"terminated"); err != nil {
			return err
		}
	}
	return d.terminateOrphans(ctx, ops, found)
}

// orphanNotFoundError says that no orphan has one of these names.
type orphanNotFoundError struct{ names []string }

func (e *orphanNotFoundError) Error() string {
	return fmt.Sprintf("no orphan is named %s; see skyctl get orphans",
		strings.Join(e.names, ", "))
}

// findOrphans returns the orphans with these names, or all. It fails while the home is in doubt. A cloud that does not
// answer is only noted, unless a name is missing.
func (d *deleteOrphansOptions) findOrphans(ctx context.Context, ops *client.Client, names []string) ([]api.Orphan,
	error) {
	var found []api.Orphan
	err := d.runWithSpinner("Listing orphans", false, func(s *terminal.Spinner) error {
		r, err := ops.ListOrphans(ctx)
		if err != nil {
			return err
		}
		if r.Doubt != nil {
			return &client.HomeDoubtError{Doubt: r.Doubt}
		}
		for _, why := range r.Unasked {
			s.PrintNote("A cloud did not answer: " + why)
		}
		d.all = r.Orphans
		if found = r.Orphans; len(names) == 0 {
			found = slices.DeleteFunc(slices.Clone(found), func(o api.Orphan) bool { return o.Conflict != "" })
			if d.skipped = len(found) < len(r.Orphans); d.skipped {
				for l := range strings.Lines(render.ExplainKeptOrphans(r.Orphans)) {
					s.PrintNote(strings.TrimSuffix(l, "\n"))
				}
			}
			return nil
		}
		found = slices.DeleteFunc(slices.Clone(found), func(o api.Orphan) bool {
			return !slices.Contains(names, render.OrphanDisplayName(o, r.Orphans)) && !slices.Contains(names, o.ID)
		})
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return slices.ContainsFunc(found,
				func(o api.Orphan) bool { return render.OrphanDisplayName(o, r.Orphans) == name || o.ID == name })
		})
		if len(missing) > 0 {
			return &orphanNotFoundError{missing}
		}
		return nil
	})
	return found, err
}

func (d *deleteOrphansOptions) terminateOrphans(ctx context.Context, ops *client.Client, found []api.Orphan) error {
	var names []string
	for _, o := range found {
		if o.Conflict != "" && o.ID != "" { // others may have the same name
			names = append(names, o.ID)
			continue
		}
		names = append(names, render.OrphanDisplayName(o, d.all))
	}
	err := d.runWithSpinner("Terminating orphans", false, func(s *terminal.Spinner) error {
		r, err := ops.TerminateOrphans(ctx, names)
		if err != nil {
			return err
		}
		s.KeepLine()
		return d.reportTerminations(found, r)
	})
	if exitCode(err) == ExitInterrupted {
		return &interruptedError{hint: "The operation continues. To see it: skyctl get orphans"}
	}
	return err
}

// reportTerminations prints the result for each orphan. One that is missing from r was gone already, unless a cloud did
// not answer.
func (d *deleteOrphansOptions) reportTerminations(found []api.Orphan, r operation.OrphansResult) error {
	var failed []error
	for _, o := range found {
		i := slices.IndexFunc(r.Orphans, func(now api.Orphan) bool {
			return now.Name == o.Name && now.ID == o.ID && now.Cloud == o.Cloud
		})
		switch {
		case i >= 0 && r.Orphans[i].Error != "":
			failed = append(failed, fmt.Errorf("machine %s on %s could not be terminated: %s", o.Name, o.Cloud,
				r.Orphans[i].Error))
		case i < 0 && len(r.Unasked) > 0:
			failed = append(failed, fmt.Errorf("machine %s on %s was not terminated: a cloud did not answer",
				o.Name, o.Cloud))
		case i < 0:
			failed = append(failed, d.printResult("Machine %s on %s was gone already.\n", o.Name, o.Cloud))
		default:
			failed = append(failed, d.writeDeleted(d.output, "Orphan", render.OrphanDisplayName(o, d.all)),
				d.printResult("Terminated machine %s on %s.\n", o.Name, o.Cloud))
		}
	}
	if errors.Join(failed...) != nil {
		failed = append(failed, newUnaskedCloudsError(r.Unasked))
	}
	return errors.Join(failed...)
}
