package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newStopCommand() *cobra.Command {
	cmd := newCommandGroup("stop", "Stop a cluster: end its machines, and keep its state",
		"Stops a cluster: see skyctl stop cluster --help. To stop skyd, the server on this computer,\n"+
			"use skyctl server stop.",
		"  skyctl stop cluster dev", a.newStopClusterCommand())
	cmd.Args = refuseOtherSubject("to stop skyd: skyctl server stop")
	return cmd
}

func (a *app) newStartCommand() *cobra.Command {
	cmd := newCommandGroup("start", "Start a cluster that was stopped",
		"Starts a cluster that was stopped: see skyctl start cluster --help. To start skyd, the server on this "+
			"computer,\n"+
			"use skyctl server start.",
		"  skyctl start cluster dev", a.newStartClusterCommand())
	cmd.Args = refuseOtherSubject("to start skyd: skyctl server start")
	return cmd
}

// stopOptions is one run of stop cluster.
type stopOptions struct {
	*app
	yes, wait bool
	timeout   waitTimeoutValue
}

func (a *app) newStopClusterCommand() *cobra.Command {
	o := &stopOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: listAliases("cluster"),
		Short:   "End the machines of a cluster, and keep its state in a snapshot",
		Long: `Takes a snapshot of a cluster, keeps it off the machines, checks it there, and only then ends all
machines. STATUS is then STOPPED: nothing is billed but the storage of the snapshot, and sweeps leave
the cluster alone. skyctl start cluster brings it back.

Data in volumes on the disks of the machines is lost, and so are pods that no controller starts
again. The command lists them before it asks. If the snapshot cannot be taken or kept, nothing is ended.`,
		Example: `  skyctl stop cluster dev
  skyctl stop cluster dev --yes --wait`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClustersIn(api.PhaseReady, api.PhaseError),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&o.wait, "wait", false,
		"show the progress until all machines are ended; Ctrl-C stops only the "+
			"display")
	o.timeout.bindFlag(cmd)
	return cmd
}

func (o *stopOptions) run(ctx context.Context, name string) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	var asked client.OperationRequest
	err = o.runWithSpinner("Stopping cluster "+name, false, func(s *terminal.Spinner) error {
		seen, isNew, err := o.checkRequest(ctx, ops, name)
		if err != nil {
			return err
		}
		if err := o.requireSnapshotWorker(ctx, ops, s, seen.Spec); err != nil {
			return err
		}
		if isNew {
			if err := o.confirm(ctx, ops, s, seen); err != nil {
				return err
			}
		}
		if asked, err = ops.StopCluster(ctx, seen.Ref()); err != nil {
			return err
		}
		s.KeepLine()
		o.noteUnstarted(asked.Unstarted, "the next sweep starts it")
		text := "Cluster %s is being stopped.\n"
		switch {
		case !asked.Changed && asked.Cluster.Status.Phase == api.PhaseStopped:
			text = "Cluster %s is already STOPPED.\n"
		case !asked.Changed:
			text = "Cluster %s is already being stopped.\n"
		}
		_, err = fmt.Fprintf(o.env.Out, text, name)
		return err
	})
	if err != nil || !o.wait {
		return err
	}
	return o.awaitStopped(ctx, ops, asked.Cluster)
}

// checkRequest reads the cluster, and refuses a stop that its phase does not allow. isNew: it is not stopped, nor being
// stopped.
func (o *stopOptions) checkRequest(ctx context.Context, ops *client.Client, name string) (seen *api.Cluster, isNew bool,
	err error) {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, false, err
	}
	if seen, err = s.ReadCluster(ctx, name); err != nil {
		return nil, false, err
	}
	tried := *seen
	isNew, err = tried.RequestStop(o.env.Now())
	return seen, isNew, err
}

// maxDataShown is how much of the data that a stop loses is listed.
const maxDataShown = 20

// confirm lists what is lost, and asks.
func (o *stopOptions) confirm(ctx context.Context, ops *client.Client, s *terminal.Spinner, c *api.Cluster) error {
	if o.yes {
		return nil
	}
	name := c.Metadata.Name
	question := fmt.Sprintf("Stop cluster %s (%s, %s)?", name, c.Status.Phase,
		render.FormatCount(len(render.ExistingMachines(c)), "machine"))
	if !terminal.IsTerminal(o.env.In) {
		return usageErrorf("there is no terminal to answer the question %q, so use --yes; nothing was changed",
			question)
	}
	lost, err := ops.ListLocalData(ctx, c.Ref())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.KeepLine()
	switch {
	case err != nil:
		fmt.Fprintf(o.env.Err, "  Data on the disks of its machines is lost. What there is cannot be listed: %s\n",
			printable.Line(err.Error()))
	case lost.Total == 0:
		fmt.Fprintln(o.env.Err, "  Kubernetes knows no data that is only on the disks of its machines.")
	default:
		fmt.Fprintln(o.env.Err, "  This is only on the disks of its machines, and is lost:")
		for _, l := range render.DataLines(lost.Data, lost.Total, maxDataShown) {
			fmt.Fprintln(o.env.Err, "    "+l)
		}
	}
	return o.requireConfirmation(ctx, question, "changed")
}

// awaitStopped shows the progress until the machines of a cluster are ended.
func (o *stopOptions) awaitStopped(ctx context.Context, ops *client.Client, asked *api.Cluster) error {
	name := asked.Metadata.Name
	p := o.startProgress("Stopping cluster", asked)
	o.slow.showOn(p.ShowNotice)
	defer o.slow.showOn(nil)
	stopped, err := ops.AwaitStopped(ctx, asked, o.timeout.value, showProgress(p))
	if err != nil {
		return o.reportFailedWait(p, name, err)
	}
	p.ReportSuccess()
	snapshot := ""
	if stop := stopped.Status.Stop; stop != nil && stop.Snapshot != "" {
		snapshot = " Its state is in snapshot " + stop.Snapshot + "."
	}
	_, err = fmt.Fprintf(o.env.Out, "Cluster %s is STOPPED after %s.%s\n", name, render.FormatDuration(p.Elapsed()),
		snapshot)
	return err
}
