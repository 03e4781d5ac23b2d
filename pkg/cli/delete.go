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
	return newCommandGroup("delete", "Delete a cluster, a pool, a machine, or orphaned machines",
		"Deletes a cluster, a pool or a machine of one, or orphaned machines: see skyctl delete cluster --help.",
		"  skyctl delete cluster dev\n  skyctl delete pool gpu --cluster dev\n  skyctl delete machine sky-dev-3\n"+
			"  skyctl delete orphans",
		a.newDeleteClusterCommand(), a.newDeletePoolCommand(), a.newDeleteMachineCommand(),
		a.newDeleteOrphansCommand())
}

// deleteOptions is one run of delete cluster.
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
		Short:   "Delete a cluster and terminate its machines",
		Long: `Terminates the machines of a cluster, checks that its cloud no longer lists them, then removes the
cluster's record and local files. It first cancels a create that is still running.

The command prints what the cluster has cost so far and, with --wait, the final cost.

If the cloud is permanently unreachable, --purge removes the cluster's record anyway and lists the
machines that may keep costing money. If the record in etcd is damaged, skyctl uses what is still
readable and the labels of the machines. If that is not enough, --purge removes the record, and
the machines appear in skyctl get orphans.`,
		Example: `  skyctl delete cluster dev
  skyctl delete cluster dev --yes --wait
  skyctl delete cluster lost --purge`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&d.wait, "wait", false,
		"show the progress until the cluster is gone; Ctrl-C leaves the work running")
	cmd.Flags().BoolVar(&d.purge, "purge", false, "remove the cluster's record even if its cloud cannot be reached")
	cmd.Flags().Var(&d.timeout, "timeout", "how long --wait waits (default: as long as it takes)")
	return cmd
}

func (d *deleteOptions) run(ctx context.Context, name string) error {
	if !d.yes && !terminal.IsTerminal(d.env.In) {
		return usageErrorf("deleting cluster %s needs confirmation, and there is no terminal: use --yes", name)
	}
	if !d.wait && d.timeout.value > 0 {
		return usageErrorf("--timeout needs --wait")
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
		err := ops.DeleteCluster(ctx, c.Ref(), d.purge, s.PrintNote)
		if deferred := new(client.DeferredError); errors.As(err, &deferred) {
			s.PrintNote("Note: " + deferred.Error())
		} else if err != nil {
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
		_, err = fmt.Fprintf(d.env.Out, "Cluster %s is being deleted.%s\n", name, costs)
		return err
	})
}

// deleteAndWait deletes a cluster and shows the progress, machine by machine.
func (d *deleteOptions) deleteAndWait(ctx context.Context, ops *client.Client, c *api.Cluster) error {
	name, ref := c.Metadata.Name, c.Ref()
	if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
		fmt.Fprintf(d.env.Err, "Cluster %s has cost %s so far.\n", name, sum)
	}
	p := terminal.StartProgress(d.env.Err, d.env.Now, "Deleting cluster", c)
	d.slow.showOn(p.ShowNotice)
	defer d.slow.showOn(nil)
	err := ops.DeleteCluster(ctx, ref, d.purge, p.ShowNotice)
	deferred := new(client.DeferredError)
	begun := err == nil || errors.As(err, &deferred) // the wait shows why it has not started
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
			costs = " It cost " + sum + " in total."
		}
		for _, m := range p.LastCluster().Status.Drift {
			if m.Reason == api.DriftMachineConflict {
				fmt.Fprintf(d.env.Err, "Machine %s was not terminated: %s.\n  See: skyctl get orphans\n",
					printable.Line(m.Machine), printable.Line(m.Message))
			}
		}
		_, err = fmt.Fprintf(d.env.Out, "Deleted cluster %s.%s\n", name, costs)
		return err
	case exitCode(err) == ExitInterrupted && begun:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The operation continues. To see it: skyctl get clusters, or skyctl delete cluster %s --wait", name)}
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if errors.As(err, &failed) {
		printFailureLog(d.env.Err, failed)
		fmt.Fprintf(d.env.Err, "  For details: skyctl describe cluster %s\n  To try again, run the same delete; "+
			"if the cloud is permanently unreachable, add --purge\n", name)
	}
	return &reportedError{err}
}

// warnOfBilling lists the machines that may keep costing money once their record is gone.
func (d *deleteOptions) warnOfBilling(c *api.Cluster) {
	machines := render.ExistingMachines(c)
	if len(machines) == 0 {
		fmt.Fprintf(d.env.Err, "Cluster %s has no machines that may exist.\n", c.Metadata.Name)
		return
	}
	fmt.Fprintln(d.env.Err, "If the cloud cannot be reached, these machines may keep costing money after the "+
		"record is removed:")
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
