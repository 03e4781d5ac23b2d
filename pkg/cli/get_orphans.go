package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/operation"
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
	output := addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ops, err := a.connectClient(cmd.Context())
		if err != nil {
			return err
		}
		return a.runWithSpinner("Asking the clouds for orphans", output.isStructured(),
			func(s *terminal.Spinner) error {
				r, err := ops.FindOrphans(cmd.Context(), operation.OrphansInput{})
				if err != nil {
					return err
				}
				s.KeepLine()
				if r.Doubt != nil {
					a.warnHomeDoubt(cmd.Context(), ops)
				}
				if output.isStructured() {
					return errors.Join(render.WriteStructured(a.env.Out, output.form(), render.NewOrphanList(r)),
						newUnaskedCloudsError(r.Unasked))
				}
				_, err = io.WriteString(a.env.Out,
					render.NewOrphanTable(r.Orphans, r.Doubt != nil,
						a.env.Now()).String()+render.ExplainKeptOrphans(r.Orphans))
				return errors.Join(err, newUnaskedCloudsError(r.Unasked))
			})
	}
	return cmd
}

// newUnaskedCloudsError is the error of clouds that could not be asked; nil where there are none.
func newUnaskedCloudsError(clouds []string) error {
	var all []error
	for _, why := range clouds {
		all = append(all, errors.New("a cloud could not be asked for orphans: "+why))
	}
	return errors.Join(all...)
}
