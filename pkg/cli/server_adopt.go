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

// adoptOptions is one run of server adopt.
type adoptOptions struct {
	*app
	yes bool
}

func (a *app) newServerAdoptCommand() *cobra.Command {
	d := &adoptOptions{app: a}
	cmd := &cobra.Command{
		Use: "adopt", Short: "Make this state directory the home of its installation", Args: refuseArgs,
		Long: `A state directory records its computer and path, and counts the starts of skyd. skyd also keeps the
count outside the directory (below ~/.local/state/skyctl) and on machines. If these differ, for
example after a copy, a move or a restored backup, two states may claim the same machines. skyd
then changes no machine and terminates no orphan until you adopt the state.

server adopt prints what differs, asks for confirmation, and makes this state the home of the
installation. Stop every other copy first; a copy that is still running stops changing machines once
it notices. The grace period of orphans starts again: check skyctl get orphans before it ends.`,
		Example: "  skyctl server status          # shows whether the home is in doubt, and why\n  skyctl server " +
			"adopt\n  skyctl server adopt --yes",
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

func (d *adoptOptions) run(ctx context.Context) error {
	if !d.yes && !terminal.IsTerminal(d.env.In) {
		return usageErrorf("adopting an installation needs confirmation, and there is no terminal: use --yes")
	}
	ops, err := d.connectClient(ctx)
	if err != nil {
		return err
	}
	found, err := d.adoptWithSpinner(ctx, ops, "Checking which installation the machines belong to",
		operation.AdoptInput{})
	if err != nil {
		return err
	}
	if len(found.Findings) == 0 && found.Before.Doubt == nil {
		_, err = fmt.Fprintf(d.env.Out, "%s is already the installation's home (start %d).\n",
			render.FormatHome(found.Before),
			found.Before.Starts)
		return err
	}
	fmt.Fprint(d.env.Err, render.FormatAdoptionFindings(found))
	if !d.yes {
		if err := d.requireConfirmation(ctx, "Have you stopped every other copy, and do you want to adopt this state?",
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
		fmt.Fprintf(d.env.Err, "No machine of %s could be reached: %s. Another copy of this state that manages them "+
			"will not notice the change.\n",
			render.FormatCount(n, "cluster"), printable.Line(strings.Join(done.Unreached, ", ")))
	}
	fmt.Fprintln(d.env.Err, "Check the orphans before they are terminated: skyctl get orphans")
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

// warnHomeDoubt warns that skyctl changes no machine while the home is in doubt. A read error is ignored: the next read
// reports it.
func (a *app) warnHomeDoubt(ctx context.Context, ops *client.Client) {
	if h, err := ops.ReadHome(ctx); err == nil && h.Doubt != nil {
		fmt.Fprintln(a.env.Err, "Warning: "+printable.Line((&client.HomeDoubtError{Doubt: h.Doubt}).Error()))
	}
}
