package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newGetOrphansCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "orphans",
		Aliases: []string{"orphan"},
		Short:   "Show machines that belong to no cluster and go on billing",
		Long: `Asks every cloud in use for machines that carry the mark of this installation and belong to no
cluster. A sweep terminates each at the time shown, once it has been seen for the grace period
(reconcile.orphanGrace); skyctl delete orphans does so now. One that may be a copy of another
machine, or that was renamed, is shown with the reason, and ends only when you name it. Machines of
others, and of other installations on the same account, are never shown and never touched.`,
		Example: "  skyctl get orphans\n  skyctl get orphans -o json",
		Args:    refuseArgs,
	}
	output := addOutputFlag(cmd, asTable, asWide, asJSON, asYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ops, err := a.connectClient(cmd.Context())
		if err != nil {
			return err
		}
		return a.runWithSpinner("Asking the clouds for orphans", output.isStructured(), func(s *spinner) error {
			r, err := ops.FindOrphans(cmd.Context(), operation.OrphansInput{})
			if err != nil {
				return err
			}
			s.keepLine()
			if r.Doubt != nil {
				a.warnHomeDoubt(cmd.Context(), ops)
			}
			if output.isStructured() {
				return errors.Join(writeStructured(a.env.Out, output.form(), newOrphanList(r)),
					newUnaskedCloudsError(r.Unasked))
			}
			_, err = io.WriteString(a.env.Out,
				newOrphanTable(r.Orphans, r.Doubt != nil, a.env.Now()).String()+explainKeptOrphans(r.Orphans))
			return errors.Join(err, newUnaskedCloudsError(r.Unasked))
		})
	}
	return cmd
}

// orphanList is several orphans as they are printed for programs.
type orphanList struct {
	APIVersion string       `json:"api_version"`
	Kind       string       `json:"kind"`
	Items      []api.Orphan `json:"items"`
	// Unasked says which clouds could not be asked, and why.
	Unasked []string `json:"unasked,omitempty"`
	// Doubt is why none is ended; nil where there is no doubt.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

func newOrphanList(r operation.OrphansResult) orphanList {
	return orphanList{api.APIVersion, "OrphanList", append([]api.Orphan{}, r.Orphans...), r.Unasked, r.Doubt}
}

// newUnaskedCloudsError is the error of clouds that could not be asked; nil where there are none.
func newUnaskedCloudsError(clouds []string) error {
	var all []error
	for _, why := range clouds {
		all = append(all, errors.New("a cloud could not be asked for orphans: "+why))
	}
	return errors.Join(all...)
}

func newOrphanTable(orphans []api.Orphan, inDoubt bool, now time.Time) *table {
	t := &table{head: []string{"CLOUD", "NAME", "CLUSTER", "AGE", "PRICE/H", "STATE", "TERMINATED-AT"}}
	for _, o := range orphans {
		at := "never"
		switch {
		case inDoubt:
			at = "not while the home is in doubt"
		case o.Conflict != "":
			at = "when you name it"
		case o.State == api.OrphanUnknown && o.TerminateAt.IsZero():
			at = "once its cloud answers"
		case !o.TerminateAt.IsZero():
			at = o.TerminateAt.UTC().Format(time.RFC3339)
		}
		born := o.CreatedAt
		if born.IsZero() {
			born = o.FirstSeen
		}
		price := "-" // free, or unknown
		if o.PricePerHour > 0 {
			price = formatDollars(o.PricePerHour, &api.Placement{})
		}
		t.addRow(textCell(o.Cloud), textCell(o.Name), textCell(valueOrDash(o.Cluster)),
			textCell(formatAgeSince(now, born)), textCell(price),
			textCell(valueOrDash(o.State)), textCell(at))
	}
	return t
}

// explainKeptOrphans says why nothing ends some orphans by itself.
func explainKeptOrphans(orphans []api.Orphan) string {
	var b strings.Builder
	for _, o := range orphans {
		if o.Conflict != "" {
			fmt.Fprintf(&b, "Machine %s is not terminated by itself: %s.\n  If nobody needs it: skyctl delete "+
				"orphans %s\n", printable.Line(o.Name), printable.Line(o.Conflict),
				printable.Line(orphanDisplayName(o, orphans)))
		}
	}
	return b.String()
}

// orphanDisplayName is what a person calls an orphan by: its name, or the cloud's own id where several bear its name.
func orphanDisplayName(o api.Orphan, all []api.Orphan) string {
	twins := 0
	for _, other := range all {
		if other.Name == o.Name {
			twins++
		}
	}
	if twins > 1 && o.ID != "" {
		return o.ID
	}
	return o.Name
}

func (a *app) newDeleteOrphansCommand() *cobra.Command {
	d := &deleteOrphansOptions{app: a}
	cmd := &cobra.Command{
		Use:     "orphans [NAME...]",
		Aliases: []string{"orphan"},
		Short:   "Terminate machines that belong to no cluster",
		Long: `Looks for machines that carry the mark of this installation and belong to no cluster, shows
them, and terminates all of them, or those you name. One that may be a copy of another machine is
terminated only when you name it: by its id on the cloud where several bear the same name. One that
belongs to a cluster by the time it is to be terminated is left alone.`,
		Example:           "  skyctl delete orphans\n  skyctl delete orphans sky-dev-1 --yes",
		ValidArgsFunction: a.completeOrphanNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "don't ask")
	return cmd
}

// deleteOrphansOptions is one delete orphans.
type deleteOrphansOptions struct {
	*app
	yes bool
	// all are the orphans that were found, those that are not to end among them.
	all []api.Orphan
	// skipped: some end only when they are named, and were not.
	skipped bool
}

func (d *deleteOrphansOptions) run(ctx context.Context, names []string) error {
	if slices.Contains(names, "") {
		return usageErrorf("the name of an orphan is empty; leave it out to terminate all of them")
	}
	if !d.yes && !isTerminal(d.env.In) {
		return usageErrorf("terminating orphans needs a yes, and there is no terminal to ask on: give --yes")
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
			none = "There are no orphans that end without being named."
		}
		_, err := fmt.Fprintln(d.env.Out, none)
		return err
	}
	if !d.yes {
		if _, err := io.WriteString(d.env.Err, newOrphanTable(found, false, d.env.Now()).String()); err != nil {
			return err
		}
		if err := d.requireConfirmation(ctx, fmt.Sprintf("Terminate %s?", formatCount(len(found), "machine")),
			"terminated"); err != nil {
			return err
		}
	}
	return d.terminateOrphans(ctx, ops, found)
}

// orphanNotFoundError says that what was named is no orphan.
type orphanNotFoundError struct{ names []string }

func (e *orphanNotFoundError) Error() string {
	return fmt.Sprintf("no machine that belongs to no cluster is called %s; see skyctl get orphans",
		strings.Join(e.names, ", "))
}

// findOrphans returns the orphans of those names, or all; none while it is in doubt whose they are. A cloud that can't
// be asked is told, and no error unless a name is missing.
func (d *deleteOrphansOptions) findOrphans(ctx context.Context, ops *client.Client, names []string) ([]api.Orphan,
	error) {
	var found []api.Orphan
	err := d.runWithSpinner("Asking the clouds for orphans", false, func(s *spinner) error {
		r, err := ops.FindOrphans(ctx, operation.OrphansInput{})
		if err != nil {
			return err
		}
		if r.Doubt != nil {
			return &client.HomeDoubtError{Doubt: r.Doubt}
		}
		for _, why := range r.Unasked {
			s.printNote("A cloud could not be asked for orphans: " + why)
		}
		d.all = r.Orphans
		if found = r.Orphans; len(names) == 0 {
			found = slices.DeleteFunc(slices.Clone(found), func(o api.Orphan) bool { return o.Conflict != "" })
			if d.skipped = len(found) < len(r.Orphans); d.skipped {
				s.printNote(strings.TrimSuffix(explainKeptOrphans(r.Orphans), "\n"))
			}
			return nil
		}
		found = slices.DeleteFunc(slices.Clone(found), func(o api.Orphan) bool {
			return !slices.Contains(names, orphanDisplayName(o, r.Orphans)) && !slices.Contains(names, o.ID)
		})
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return slices.ContainsFunc(found,
				func(o api.Orphan) bool { return orphanDisplayName(o, r.Orphans) == name || o.ID == name })
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
		if o.Conflict != "" && o.ID != "" { // others may bear its name
			names = append(names, o.ID)
			continue
		}
		names = append(names, orphanDisplayName(o, d.all))
	}
	err := d.runWithSpinner("Terminating orphans", false, func(s *spinner) error {
		r, err := ops.FindOrphans(ctx, operation.OrphansInput{Terminate: names})
		if err != nil {
			return err
		}
		s.keepLine()
		return d.reportTerminations(found, r)
	})
	if exitCode(err) == ExitInterrupted {
		return &interruptedError{hint: "The work goes on. Look again with: skyctl get orphans"}
	}
	return err
}

// reportTerminations says of each what became of it. One that is not in the result had ended by itself, unless its
// cloud was not asked.
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
			failed = append(failed, fmt.Errorf("machine %s on %s was not terminated: not every cloud could be asked",
				o.Name, o.Cloud))
		case i < 0:
			fmt.Fprintf(d.env.Out, "Machine %s on %s is gone already.\n", o.Name, o.Cloud)
		default:
			fmt.Fprintf(d.env.Out, "Terminated machine %s on %s.\n", o.Name, o.Cloud)
		}
	}
	if len(failed) > 0 {
		failed = append(failed, newUnaskedCloudsError(r.Unasked))
	}
	return errors.Join(failed...)
}
