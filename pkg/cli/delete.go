package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newDeleteCommand() *cobra.Command {
	return newCommandGroup("delete", "Delete a cluster and its machines, or machines that belong to none",
		"Deletes what you name: see skyctl delete cluster --help.",
		"  skyctl delete cluster dev\n  skyctl delete orphans", a.newDeleteClusterCommand(),
		a.newDeleteOrphansCommand())
}

// deleteOptions is one delete cluster.
type deleteOptions struct {
	*app
	yes, wait, purge bool
	timeout          durationValue
}

func (a *app) newDeleteClusterCommand() *cobra.Command {
	d := &deleteOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: []string{"clusters"},
		Short:   "Terminate a cluster's machines and forget it",
		Long: `Terminates the machines of a cluster, confirms that its cloud no longer has them, then forgets
the cluster and removes its local files. A create that is still running is cancelled first.

What the cluster has cost is told when the delete begins and, with --wait, when it is done.

Where the cloud is out of reach for good, --purge forgets the cluster anyway, after listing the
machines that may go on billing. A cluster whose object in etcd is damaged is deleted by what can
still be read of it, and by the labels of its machines; where that is too little, --purge forgets
the object, and its machines show in skyctl get orphans.`,
		Example: `  skyctl delete cluster dev
  skyctl delete cluster dev --yes --wait
  skyctl delete cluster lost --purge`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "don't ask")
	cmd.Flags().BoolVar(&d.wait, "wait", false,
		"show the progress until the cluster is gone; Ctrl-C leaves the work running")
	cmd.Flags().BoolVar(&d.purge, "purge", false, "forget the cluster even if its cloud can't be asked")
	cmd.Flags().Var(&d.timeout, "timeout", "how long --wait waits (default: as long as it takes)")
	return cmd
}

func (d *deleteOptions) run(ctx context.Context, name string) error {
	if !d.yes && !terminal.IsTerminal(d.env.In) {
		return usageErrorf("deleting cluster %s needs a yes, and there is no terminal to ask on: give --yes", name)
	}
	if !d.wait && d.timeout.value > 0 {
		return usageErrorf("--timeout says how long --wait waits: give --wait too")
	}
	ops, err := d.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	c, damage, err := s.SalvageCluster(ctx, name)
	if err != nil {
		return err
	}
	if damage != nil {
		if err := d.explainDamage(c, damage); err != nil {
			return err
		}
	}
	if d.purge {
		d.warnOfBilling(c)
	}
	if !d.yes {
		if err := d.confirmDeletion(ctx, c); err != nil {
			return err
		}
	}
	switch {
	case damage != nil && !isTraceable(c):
		return d.forgetDamagedCluster(ctx, s, name)
	case damage != nil:
		if c, err = s.RewriteClusterForDelete(ctx, name, d.env.Now().UTC()); err != nil {
			return err
		}
	}
	if d.wait {
		return d.deleteAndWait(ctx, ops, c)
	}
	return d.runWithSpinner("Deleting cluster", false, func(s *terminal.Spinner) error {
		if err := ops.DeleteCluster(ctx, c.Ref(), d.purge, s.PrintNote); err != nil {
			return err
		}
		if err := d.removeLocalKubeconfig(name); err != nil {
			return err
		}
		s.KeepLine()
		costs := ""
		if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
			costs = " It has cost " + sum + " so far."
		}
		_, err := fmt.Fprintf(d.env.Out, "Cluster %s is being deleted.%s\n", name, costs)
		return err
	})
}

// deleteAndWait deletes and shows it, machine by machine.
func (d *deleteOptions) deleteAndWait(ctx context.Context, ops *client.Client, c *api.Cluster) error {
	name, ref := c.Metadata.Name, c.Ref()
	if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
		fmt.Fprintf(d.env.Err, "Cluster %s has cost %s so far.\n", name, sum)
	}
	p := terminal.StartProgress(d.env.Err, d.env.Now, "Deleting cluster", c)
	err := ops.DeleteCluster(ctx, ref, d.purge, p.ShowNotice)
	begun := err == nil
	if begun {
		err = ops.AwaitGone(ctx, ref, d.timeout.value, showProgress(p))
	}
	if err == nil {
		err = d.removeLocalKubeconfig(name)
	}
	var failed *client.OperationFailedError
	switch {
	case err == nil:
		p.ReportSuccess()
		costs := ""
		if sum := render.FormatTotalCost(p.LastCluster(), d.env.Now()); sum != "" {
			costs = " It has cost " + sum + " in all."
		}
		for _, m := range p.LastCluster().Status.Drift {
			if m.Reason == api.DriftMachineConflict {
				fmt.Fprintf(d.env.Err, "Machine %s was left alone: %s.\n  See: skyctl get orphans\n",
					printable.Line(m.Machine), printable.Line(m.Message))
			}
		}
		_, err = fmt.Fprintf(d.env.Out, "Deleted cluster %s.%s\n", name, costs)
		return err
	case exitCode(err) == ExitInterrupted && begun:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The work goes on. Look again with: skyctl get clusters, or skyctl delete cluster %s --wait", name)}
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if errors.As(err, &failed) {
		printFailureLog(d.env.Err, failed)
		fmt.Fprintf(d.env.Err, "  Look closer with: skyctl describe cluster %s\n  Try again with the same delete; "+
			"where the cloud is out of reach for good, add --purge\n", name)
	}
	return &reportedError{err}
}

// warnOfBilling lists what may go on billing once nobody remembers it.
func (d *deleteOptions) warnOfBilling(c *api.Cluster) {
	machines := render.ExistingMachines(c)
	if len(machines) == 0 {
		fmt.Fprintf(d.env.Err, "No machine of cluster %s is known to exist.\n", c.Metadata.Name)
		return
	}
	fmt.Fprintln(d.env.Err, "If their cloud can't be asked, these machines may go on billing after the cluster is "+
		"forgotten:")
	var rows [][]string
	for _, m := range machines {
		p := m.Placement
		if p.Cloud == "" && c.Status.Placement != nil {
			p = *c.Status.Placement
		}
		rows = append(rows, []string{m.Name, render.FormatPlacement(p), render.ValueOrDash(m.CloudID), string(m.State),
			render.FormatDollars(p.PricePerMachine, &p) + "/h"})
	}
	for _, l := range render.AlignColumns(rows) {
		fmt.Fprintln(d.env.Err, "  "+l)
	}
}

func (d *deleteOptions) confirmDeletion(ctx context.Context, c *api.Cluster) error {
	costs := ""
	if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
		costs = ", " + sum + " so far"
	}
	phase := cmp.Or(c.Status.Phase, render.PhaseDamaged)
	return d.requireConfirmation(ctx, fmt.Sprintf("Delete cluster %s (%s, %s%s)?", c.Metadata.Name, phase,
		render.FormatCount(len(render.ExistingMachines(c)), "machine"), costs), "deleted")
}
