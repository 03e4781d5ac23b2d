package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newRestoreCommand() *cobra.Command {
	cmd := newCommandGroup("restore", "Restore a cluster from a snapshot",
		"Restores a cluster from a snapshot: see skyctl restore cluster --help. To restore skyd itself from a file of "+
			"skyctl\nserver backup, use skyctl server restore.",
		"  skyctl restore cluster prod --snapshot before-migration", a.newRestoreClusterCommand())
	cmd.Args = refuseOtherSubject("to restore skyd from a backup: skyctl server restore FILE")
	return cmd
}

// refuseOtherSubject refuses an unknown subcommand of a command that the server has too, and names both.
func refuseOtherSubject(ofServer string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := refuseUnknownSubcommand(cmd, args)
		if err == nil {
			return nil
		}
		return usageErrorf("%w; for a cluster: %s cluster NAME; %s", err, cmd.CommandPath(), ofServer)
	}
}

// clusterRestoreOptions is one run of restore cluster.
type clusterRestoreOptions struct {
	*app
	snapshot                                    string
	newMachines, force, discardState, yes, wait bool
	timeout                                     waitTimeoutValue
	output                                      *outputFlags
}

func (a *app) newRestoreClusterCommand() *cobra.Command {
	o := &clusterRestoreOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME --snapshot SNAPSHOT",
		Aliases: listAliases("cluster"),
		Short:   "Bring a cluster back to the state of a snapshot",
		Long: `Restores a cluster's etcd from a snapshot. What has changed after the snapshot is lost. Pods that are
newer than the snapshot end, and Nodes whose machines are gone are removed. The kubeconfig
keeps its path.

The present state is kept first as a snapshot of its own. If that fails, for example because the
quota of snapshots is reached, nothing is changed; --discard-state restores without keeping the
present state. If the Kubernetes API does not answer and the server takes no snapshot, or its machine
is gone, the restore goes on without, and an event says so.

The machines stay, with their volumes. If the machine of the server is gone, a new one is launched
for it, and the workers stay. With --new-machines all machines are ended, with the data on their
disks, and others are launched, in another place if the old one has no room.

The snapshot is checked before anything is changed: it has to be complete, and of the cluster's
minor version or an older one. --snapshot OTHER/NAME names one of a deleted cluster; it needs
--force and --new-machines. While that cluster exists, in any phase, it is refused: both would
have the same certificates and tokens.`,
		Example: `  skyctl restore cluster prod --snapshot before-migration
  skyctl restore cluster prod --snapshot before-migration --yes --wait
  skyctl restore cluster prod --snapshot auto-20261129-003000 --new-machines
  skyctl restore cluster prod --snapshot old/last --force --new-machines`,
		Args: requireClusterName,
		ValidArgsFunction: a.completeClustersIn(api.PhaseReady, api.PhaseError, api.PhaseProvisioning,
			api.PhaseStopped),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.snapshot, "snapshot", "", "name of the snapshot, or OTHER/NAME for that of another cluster "+
		"(required)")
	f.BoolVar(&o.newMachines, "new-machines", false, "end all machines and launch others; data on their disks is lost")
	f.BoolVar(&o.force, "force", false, "accept the snapshot of another cluster (needs --new-machines)")
	f.BoolVar(&o.discardState, "discard-state", false, "do not keep the present state as a snapshot first")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.BoolVar(&o.wait, "wait", false, "show the progress until the cluster is READY; Ctrl-C stops only the display")
	o.timeout.bindFlag(cmd)
	o.output = addChangedOutputFlags(cmd)
	panicOnError(cmd.RegisterFlagCompletionFunc("snapshot",
		func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.completeSnapshots(cmd, func(s api.Snapshot) bool {
				return s.IsUsable() && s.Cluster == firstOrEmpty(args)
			})
		}))
	return cmd
}

// splitSnapshot returns the cluster and the name that --snapshot gives for a cluster.
func (o *clusterRestoreOptions) splitSnapshot(own string) (cluster, name string, err error) {
	cluster, name, isOther := strings.Cut(o.snapshot, "/")
	if !isOther {
		cluster, name = own, o.snapshot
	}
	want := &api.FieldError{Field: "snapshot", Value: o.snapshot,
		Want: "the name of a snapshot, as skyctl get snapshots --cluster " + own + " lists them, or OTHER/NAME"}
	if validateSnapshotArg(name) != nil || isOther && api.ValidateStoredName(cluster) != nil {
		return "", "", want
	}
	return cluster, name, nil
}

func (o *clusterRestoreOptions) run(ctx context.Context, name string) error {
	of, snapshot, err := o.splitSnapshot(name)
	switch {
	case o.snapshot == "":
		return usageErrorf("missing --snapshot: skyctl restore cluster NAME --snapshot SNAPSHOT")
	case err != nil:
		return err
	case o.force && !o.newMachines:
		return usageErrorf("--force is for snapshots of other clusters, and needs --new-machines")
	}
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	var asked client.OperationRequest
	err = o.runWithSpinner("Restoring cluster "+name, false, func(s *terminal.Spinner) error {
		seen, options, err := o.checkRequest(ctx, ops, name, of, snapshot)
		if err != nil {
			return err
		}
		if err := o.requireSnapshotWorker(ctx, ops, s, seen.Spec); err != nil {
			return err
		}
		if err := ops.CheckSnapshotFile(ctx, options.Snapshot); err != nil {
			return err
		}
		if err := o.confirm(ctx, s, seen, options); err != nil {
			return err
		}
		if asked, err = ops.RestoreCluster(ctx, seen, options); err != nil {
			return err
		}
		s.KeepLine()
		o.noteUnstarted(asked.Unstarted, "the next sweep starts it")
		text := "Cluster %s is being restored from snapshot %s.\n"
		if !asked.Changed {
			text = "Cluster %s is already being restored from snapshot %s.\n"
		}
		return o.printResult(text, name, o.snapshot)
	})
	if err == nil && o.wait {
		err = o.awaitRestored(ctx, ops, asked.Cluster, "Restoring cluster", "", o.timeout.value)
	}
	if err != nil {
		return err
	}
	return o.writeChanged(ctx, ops, o.output, changedClusters{clusters: []*api.Cluster{asked.Cluster}, waited: o.wait})
}

// checkRequest reads the cluster and the snapshot, and refuses what cannot be restored before anything is written.
func (o *clusterRestoreOptions) checkRequest(ctx context.Context, ops *client.Client, name, of,
	snapshot string) (*api.Cluster,
	client.RestoreOptions, error) {
	options := client.RestoreOptions{NewMachines: o.newMachines, Force: o.force, DiscardState: o.discardState}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, options, err
	}
	seen, err := s.ReadCluster(ctx, name)
	if err != nil {
		return nil, options, err
	}
	options.Snapshot, err = ops.FindSnapshot(ctx, of, snapshot)
	if isMissingSnapshot(err) { // it is the value of a flag
		err = &api.FieldError{Field: "snapshot", Value: o.snapshot,
			Want: fmt.Sprintf("cluster %s has no snapshot of this name; to list those it has: skyctl get "+
				"snapshots --cluster %[1]s", of)}
	}
	if err != nil {
		return nil, options, err
	}
	tried := *seen
	if r := seen.Status.Restore; r != nil {
		same := *r
		tried.Status.Restore = &same
	}
	wish, err := ops.NewRestoreWish(ctx, seen, options)
	if err == nil {
		_, err = tried.RequestRestore(wish)
	}
	return seen, options, err
}

// confirm says what is lost, and asks, unless nothing of the cluster is left.
func (o *clusterRestoreOptions) confirm(ctx context.Context, s *terminal.Spinner, c *api.Cluster,
	options client.RestoreOptions) error {
	endsMachines := options.NewMachines && api.AnyMachineMayExist(c.Status.Machines)
	losesState := c.Status.Phase == api.PhaseReady || c.Status.Phase == api.PhaseError && c.LostServer() == ""
	if o.yes || c.Status.Restore != nil || !endsMachines && !losesState {
		return nil
	}
	name := c.Metadata.Name
	question := fmt.Sprintf("Restore cluster %s (%s, %s) from snapshot %s?", name, c.Status.Phase,
		render.FormatCount(len(render.ExistingMachines(c)), "machine"), o.snapshot)
	if !terminal.IsTerminal(o.env.In) {
		return usageErrorf("there is no terminal to answer the question %q, so use --yes; nothing was changed",
			question)
	}
	s.KeepLine()
	for _, l := range render.RestoreLines(c, api.RestoreWish{Snapshot: options.Snapshot,
		NewMachines: options.NewMachines, DiscardState: options.DiscardState, At: o.env.Now()}) {
		fmt.Fprintln(o.env.Err, "  "+l)
	}
	return o.requireConfirmation(ctx, question, "changed")
}

// awaitRestored shows the progress of a restore or a start until the cluster is READY. where is as in powerOptions.
func (a *app) awaitRestored(ctx context.Context, ops *client.Client, asked *api.Cluster, title, where string,
	limit time.Duration) error {
	name := asked.Metadata.Name
	if asked.Status.Restore == nil {
		return nil // it was READY already
	}
	p := a.startProgress(title, asked)
	a.slow.showOn(p.ShowNotice)
	defer a.slow.showOn(nil)
	ready, err := ops.AwaitRestored(ctx, asked, limit, showProgress(p))
	path := ""
	if err == nil {
		path, err = a.ensureLocalKubeconfig(ctx, ops, asked.Ref())
	}
	if err != nil {
		return a.reportFailedWait(p, name, err)
	}
	p.ReportSuccess()
	if err := a.printResult("Cluster %s%s is READY after %s, restored %s.\n", name, where,
		render.FormatDuration(p.Elapsed()), render.DescribeRestored(*ready.Status.Restored, a.env.Now())); err != nil {
		return err
	}
	return a.printHowToUse(ctx, ops, ready, path)
}

// reportFailedWait ends the display of an operation whose goal was not reached.
func (a *app) reportFailedWait(p *terminal.ProgressDisplay, name string, err error) error {
	if exitCode(err) == ExitInterrupted {
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf("The operation continues. To see it: skyctl get cluster %s -w, or "+
			"skyctl describe cluster %[1]s", name)}
	}
	if a.wantsJSONErrors() {
		p.StopDrawing()
		return err
	}
	p.ReportFailure(err, damageRemedies(err)...)
	if failed := client.AsOperationFailed(err); failed != nil {
		printFailureLog(a.env.Err, failed)
	}
	fmt.Fprintf(a.env.Err, "  For details: skyctl describe cluster %s\n", name)
	return &reportedError{err}
}
