package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// adoptOptions is one server adopt.
type adoptOptions struct {
	*app
	yes bool
}

func (a *app) newServerAdoptCommand() *cobra.Command {
	d := &adoptOptions{app: a}
	cmd := &cobra.Command{
		Use: "adopt", Short: "Make this state directory the home of its installation", Args: refuseArgs,
		Long: `A state directory knows the computer and the path it belongs to, and counts the starts of skyd; the
count is also kept outside of it (below ~/.local/state/skyctl) and on machines. Where these do not
fit, as after a copy, a move or the return of a backup, two states may claim the same machines:
then skyd only looks, changes no machine and ends no orphan.

server adopt says what it found, asks, and makes this state the one to go on with. Every other copy
finds out and changes nothing from then on; stop it before you adopt this one. The time of orphans
counts anew: look at skyctl get orphans before they end.`,
		Example: "  skyctl server status          # says whether there is doubt, and why\n  skyctl server adopt\n  " +
			"skyctl server adopt --yes",
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "don't ask")
	return cmd
}

func (d *adoptOptions) run(ctx context.Context) error {
	if !d.yes && !terminal.IsTerminal(d.env.In) {
		return usageErrorf("adopting an installation needs a yes, and there is no terminal to ask on: give --yes")
	}
	ops, err := d.connectClient(ctx)
	if err != nil {
		return err
	}
	found, err := d.adoptWithSpinner(ctx, ops, "Asking machines who looks after them", operation.AdoptInput{})
	if err != nil {
		return err
	}
	if len(found.Findings) == 0 && found.Before.Doubt == nil {
		_, err = fmt.Fprintf(d.env.Out, "%s is the installation's home already (start %d).\n",
			render.FormatHome(found.Before),
			found.Before.Starts)
		return err
	}
	fmt.Fprint(d.env.Err, render.FormatAdoptionFindings(found))
	if !d.yes {
		if err := d.requireConfirmation(ctx, "Is every other copy stopped, and this the state to go on with?",
			"adopted"); err != nil {
			return err
		}
	}
	done, err := d.adoptWithSpinner(ctx, ops, "Adopting the installation", operation.AdoptInput{Confirmed: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.env.Out, "%s is the installation's home now (start %d).\n", render.FormatHome(done.After),
		done.After.Starts)
	if n := len(done.Unreached); n > 0 {
		fmt.Fprintf(d.env.Err, "No machine of %s could be told: %s. Another copy that looks after them does not "+
			"find out by them.\n",
			render.FormatCount(n, "cluster"), printable.Line(strings.Join(done.Unreached, ", ")))
	}
	fmt.Fprintln(d.env.Err, "Look at what belongs to no cluster before its time is over: skyctl get orphans")
	return nil
}

func (d *adoptOptions) adoptWithSpinner(ctx context.Context, ops *client.Client, title string,
	in operation.AdoptInput) (r operation.AdoptResult, err error) {
	err = d.runWithSpinner(title, false, func(*terminal.Spinner) error {
		r, err = ops.AdoptHome(ctx, in)
		return err
	})
	return r, err
}

// warnHomeDoubt tells a person that nothing is done while the home is in doubt. That it can't be read is told by what
// is read next.
func (a *app) warnHomeDoubt(ctx context.Context, ops *client.Client) {
	if h, err := ops.ReadHome(ctx); err == nil && h.Doubt != nil {
		fmt.Fprintln(a.env.Err, "Warning: "+printable.Line((&client.HomeDoubtError{Doubt: h.Doubt}).Error()))
	}
}
