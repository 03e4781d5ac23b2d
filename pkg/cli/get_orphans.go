package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

func (a *app) newGetOrphansCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "orphans",
		Aliases: listAliases("orphans"),
		Short:   "List orphans: machines that belong to no cluster and cost money",
		Long: `Lists the orphans on every cloud in use: machines with the labels of this installation that belong
to no cluster. A sweep terminates each at the time shown, after the grace period
(reconcile.orphanGrace); skyctl delete orphans terminates them now. A machine that may be a copy
of another one, or that was renamed, is shown with the reason and is terminated only if you name
it. skyctl never lists or changes machines of others, or of other installations in the same account.`,
		Example: "  skyctl get orphans\n  skyctl get orphans -o json",
		Args:    refuseArgs,
	}
	output := addListOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ops, err := a.connectClient(cmd.Context())
		if err != nil {
			return err
		}
		return a.runWithSpinner("Listing orphans", output.isStructured(),
			func(s *terminal.Spinner) error {
				r, err := ops.ListOrphans(cmd.Context())
				if err != nil {
					return err
				}
				if err := sortObjects(output, r.Orphans); err != nil {
					return err
				}
				s.KeepLine()
				if r.Doubt != nil {
					a.warnHomeDoubt(cmd.Context(), ops)
				}
				if output.isStructured() {
					return errors.Join(output.write(a.env.Out, render.NewOrphanList(r)),
						newUnaskedCloudsError(r.Unasked))
				}
				err = output.writeTable(a.env.Out, render.NewOrphanTable(r.Orphans, r.Doubt != nil, a.env.Now()))
				if err == nil {
					err = terminal.WritePage(a.env.Out, render.ExplainKeptOrphans(r.Orphans))
				}
				return errors.Join(err, newUnaskedCloudsError(r.Unasked))
			})
	}
	return cmd
}

// newUnaskedCloudsError returns an error for the clouds that did not answer; nil if there are none.
func newUnaskedCloudsError(clouds []string) error {
	var all []error
	for _, why := range clouds {
		all = append(all, errors.New("a cloud did not answer: "+why))
	}
	return errors.Join(all...)
}
