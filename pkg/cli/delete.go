package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newDeleteCommand() *cobra.Command {
	return newCommandGroup("delete", "Delete a cluster, a pool, a machine, a snapshot, orphaned machines, or a secret",
		"Deletes a cluster, a pool, a machine or a snapshot of one, orphaned machines, or a secret: see skyctl "+
			"delete\n"+
			"cluster --help.",
		"  skyctl delete cluster dev\n  skyctl delete pool gpu --cluster dev\n  skyctl delete machine sky-dev-3\n"+
			"  skyctl delete snapshot first --cluster dev\n  skyctl delete orphans\n  skyctl delete secret "+
			"registry-login",
		a.newDeleteClusterCommand(), a.newDeletePoolCommand(), a.newDeleteMachineCommand(),
		a.newDeleteSnapshotCommand(), a.newDeleteOrphansCommand(), a.newDeleteSecretCommand())
}

// deleteOptions is one run of delete cluster.
type deleteOptions struct {
	*app
	yes, wait, purge bool
	// ignoreMissing: a cluster that does not exist is no error.
	ignoreMissing bool
	timeout       waitTimeoutValue
	selector      *selectorValue
	output        *outputFlags // nil in a prune
	// unchanged: a cluster that was changed since it was read is not deleted.
	unchanged bool
	// where names the installation in questions and results with --all; see describeAllOf.
	where string
}

func (a *app) newDeleteClusterCommand() *cobra.Command {
	d := &deleteOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME... | -l SELECTOR | --all",
		Aliases: listAliases("cluster"),
		Short:   "Delete clusters and terminate their machines",
		Long: `Terminates the machines of a cluster, checks that its cloud no longer lists them, then removes the
cluster's record and local files. It first cancels a create that is still running.

Scheduled snapshots of the cluster are deleted with it. Those that a person asked for, and those that
skyctl took before a stop or a restore, stay until skyctl delete snapshot deletes them.

You can name several clusters, or select them by their labels with -l, or all with --all. The command
lists them with their machines and prices, and asks once; if one that you name does not exist, it
deletes none. One that cannot be deleted does not stop the others. It is no error if -l or --all
selects no cluster.

The command prints what the cluster has cost so far and, with --wait, the final cost.

If the cloud is permanently unreachable, --purge removes the cluster's record anyway and lists the
machines that may keep costing money. If the record in etcd is damaged, skyctl uses what is still
readable and the labels of the machines. If that is not enough, --purge removes the record, and
the machines appear in skyctl get orphans.`,
		Example: `  skyctl delete cluster dev
  skyctl delete cluster dev --yes --wait
  skyctl delete clusters test-1 test-2
  skyctl delete clusters -l team=vision
  skyctl delete clusters --all
  skyctl delete cluster dev --yes --wait -o name
  skyctl delete cluster lost --purge`,
		ValidArgsFunction: a.completeMoreClusterNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	d.output = addDeletedOutputFlags(cmd, "cluster")
	d.selector = a.addSelectionFlags(cmd, "clusters")
	cmd.Args = d.selector.requireNames
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&d.wait, "wait", false,
		"show the progress until the cluster is gone; Ctrl-C leaves the work running")
	cmd.Flags().BoolVar(&d.purge, "purge", false, "remove the cluster's record even if its cloud cannot be reached")
	cmd.Flags().BoolVar(&d.ignoreMissing, "ignore-not-found", false, "a cluster that does not exist is no error")
	d.timeout.bindFlag(cmd)
	return cmd
}

func (d *deleteOptions) run(ctx context.Context, names []string) error {
	if err := d.timeout.refuseWithoutWait(d.wait); err != nil {
		return err
	}
	where, err := d.describeAllOf(d.selector)
	if err != nil {
		return err
	}
	d.where = where
	unconfirmed := d.checkConfirmed(names)
	if unconfirmed != nil && !d.hasServer() { // no server is started only to say this
		return unconfirmed
	}
	if names, err = d.resolveNames(ctx, d.selector, names); err != nil || len(names) == 0 {
		return err
	}
	ops, err := d.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	targets, unreadable := d.findTargets(ctx, s, names)
	if unreadable != nil && (!d.selector.isSet() || len(targets) == 0) {
		return unreadable
	}
	if len(targets) == 0 { // with --ignore-not-found
		return nil
	}
	if unconfirmed != nil {
		return errors.Join(unreadable, unconfirmed)
	}
	if unreadable != nil { // it does not stop the others
		d.printError(unreadable)
		unreadable = &reportedError{unreadable}
	}
	if d.purge {
		for _, t := range targets {
			d.warnOfBilling(t.cluster)
		}
	}
	if !d.yes {
		if err := d.confirmDeletion(ctx, targets); err != nil {
			return err
		}
	}
	return errors.Join(unreadable, d.deleteTargets(ctx, ops, s, targets))
}

// deleteTargets deletes the clusters, also after one that fails, and then waits for those that are being deleted.
func (d *deleteOptions) deleteTargets(ctx context.Context, ops *client.Client, s *store.Store,
	targets []deleteTarget) error {
	if len(targets) == 1 {
		return d.deleteCluster(ctx, ops, s, targets[0], d.wait)
	}
	byName, names := map[string]deleteTarget{}, []string{}
	for _, t := range targets {
		byName[t.cluster.Metadata.Name] = t
		names = append(names, t.cluster.Metadata.Name)
	}
	_, err := d.runThenAwait(ctx, names, func(ctx context.Context, name string) (*api.Cluster, error) {
		return byName[name].cluster, d.deleteCluster(ctx, ops, s, byName[name], false)
	}, d.awaitIfWanted(ops))
	return err
}

// awaitIfWanted returns what waits for a cluster that is being deleted; nil without --wait.
func (d *deleteOptions) awaitIfWanted(ops *client.Client) func(context.Context, *api.Cluster) error {
	if !d.wait {
		return nil
	}
	return func(ctx context.Context, c *api.Cluster) error { return d.awaitDeletion(ctx, ops, c, true) }
}

// checkConfirmed returns an error if the deletion was not confirmed, and cannot be.
func (d *deleteOptions) checkConfirmed(names []string) error {
	if d.yes || terminal.IsTerminal(d.env.In) {
		return nil
	}
	what := "cluster " + strings.Join(names, ", ")
	if d.selector.isSet() {
		what = d.selector.describe() + d.where
	}
	return usageErrorf("deleting %s needs confirmation, and there is no terminal: use --yes", what)
}

// deleteTarget is a cluster that is to be deleted.
type deleteTarget struct {
	cluster *api.Cluster
	// damage is not nil if only a part of the cluster could be read.
	damage *store.CorruptError
	// snapshots is what becomes of its snapshots.
	snapshots render.SnapshotCount
}

// ignores reports whether an error is that of a missing cluster, which --ignore-not-found ignores.
func (d *deleteOptions) ignores(err error) bool {
	return d.ignoreMissing && hasType[*store.NotFoundError](err)
}

// findTargets reads the clusters. Its error names those that are missing or cannot be deleted.
func (d *deleteOptions) findTargets(ctx context.Context, s *store.Store, names []string) ([]deleteTarget, error) {
	var targets []deleteTarget
	var errs []error
	snapshots, _ := s.ListSnapshots(ctx, "") // they are only counted
	for _, name := range names {
		c, damage, err := s.SalvageCluster(ctx, name)
		if err == nil && damage != nil {
			err = d.explainDamage(c, damage)
		}
		if d.ignores(err) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		targets = append(targets, deleteTarget{cluster: c, damage: damage,
			snapshots: render.CountSnapshots(snapshots, c.Metadata.UID)})
	}
	return targets, errors.Join(errs...)
}

// deleteCluster deletes one cluster; with wait it shows the progress until the cluster is gone.
func (d *deleteOptions) deleteCluster(ctx context.Context, ops *client.Client, s *store.Store, t deleteTarget,
	wait bool) error {
	c, name := t.cluster, t.cluster.Metadata.Name
	switch {
	case t.damage != nil && !isTraceable(c):
		return d.forgetDamagedCluster(ctx, s, name)
	case t.damage != nil:
		var err error
		if c, err = s.RewriteClusterForDelete(ctx, name, d.env.Now().UTC()); d.ignores(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if stay := t.snapshots.Staying; stay > 0 {
		d.printNote(fmt.Sprintf("Snapshots of cluster %s that stay until they are deleted by name: %d. To list them: "+
			"skyctl get snapshots --cluster %[1]s", name, stay))
	}
	if wait {
		return d.awaitDeletion(ctx, ops, c, false)
	}
	return d.startDeletion(ctx, ops, c)
}

func (d *deleteOptions) startDeletion(ctx context.Context, ops *client.Client, c *api.Cluster) error {
	name := c.Metadata.Name
	return d.runWithSpinner("Deleting cluster", false, func(s *terminal.Spinner) error {
		var err error
		if d.unchanged {
			err = ops.PruneCluster(ctx, c, s.PrintNote)
		} else {
			err = ops.DeleteCluster(ctx, c.Ref(), d.purge, s.PrintNote)
		}
		deferred := new(client.DeferredError)
		switch {
		case errors.As(err, &deferred):
			s.PrintNote("Note: " + deferred.Error())
		case d.ignores(err): // it was deleted meanwhile
			return nil
		case err != nil:
			return err
		}
		if err := d.removeLocalKubeconfig(ctx, name, false); err != nil {
			return err
		}
		s.KeepLine()
		costs := ""
		if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
			costs = " It has cost " + sum + " so far."
		}
		if !d.wait { // else it is not gone yet
			err = d.writeDeleted(d.output, api.Kind, name)
		}
		return errors.Join(err, d.printResult("Cluster %s%s is being deleted.%s\n", name, d.where, costs))
	})
}

// awaitDeletion deletes a cluster, unless that has begun, and shows the progress, machine by machine.
func (d *deleteOptions) awaitDeletion(ctx context.Context, ops *client.Client, c *api.Cluster, begun bool) error {
	name, ref := c.Metadata.Name, c.Ref()
	if sum := render.FormatTotalCost(c, d.env.Now()); sum != "" {
		fmt.Fprintf(d.notes(), "Cluster %s has cost %s so far.\n", name, sum)
	}
	p := d.startProgress("Deleting cluster", c)
	d.slow.showOn(p.ShowNotice)
	defer d.slow.showOn(nil)
	var err error
	if !begun {
		err = ops.DeleteCluster(ctx, ref, d.purge, p.ShowNotice)
		deferred := new(client.DeferredError)
		begun = err == nil || errors.As(err, &deferred) // the wait shows why it has not started
	}
	if d.ignores(err) { // it was deleted meanwhile
		p.ReportSuccess()
		return nil
	}
	if begun {
		err = ops.AwaitGone(ctx, ref, d.timeout.value, showProgress(p))
	}
	if err == nil {
		err = d.removeLocalKubeconfig(ctx, name, true)
	}
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
		return errors.Join(d.writeDeleted(d.output, api.Kind, name),
			d.printResult("Deleted cluster %s%s.%s\n", name, d.where, costs))
	case exitCode(err) == ExitInterrupted && begun:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The operation continues. To see it: skyctl get clusters, or skyctl delete cluster %s --wait", name)}
	case exitCode(err) == ExitInterrupted:
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if failed := client.AsOperationFailed(err); failed != nil {
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

// confirmDeletion asks once for all clusters, and names each.
func (d *deleteOptions) confirmDeletion(ctx context.Context, targets []deleteTarget) error {
	if len(targets) == 1 {
		return d.requireConfirmation(ctx, "Delete cluster "+d.describeTarget(targets[0])+d.where+"?", "deleted")
	}
	for _, t := range targets {
		fmt.Fprintln(d.env.Err, "  "+d.describeTarget(t))
	}
	return d.requireConfirmation(ctx, fmt.Sprintf("Delete these %s%s?", render.FormatCount(len(targets), "cluster"),
		d.where), "deleted")
}

func (d *deleteOptions) describeTarget(t deleteTarget) string {
	return fmt.Sprintf("%s (%s%s)", t.cluster.Metadata.Name, render.SummarizeCluster(t.cluster, d.env.Now()),
		t.snapshots.Describe())
}
