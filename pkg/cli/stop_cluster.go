package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newStopCommand() *cobra.Command {
	cmd := newCommandGroup("stop", "Stop clusters: end their machines, and keep their state",
		"Stops clusters: see skyctl stop cluster --help. To stop skyd, the server on this computer,\n"+
			"use skyctl server stop.",
		"  skyctl stop cluster dev", a.newStopClusterCommand())
	cmd.Args = refuseOtherSubject("to stop skyd: skyctl server stop")
	return cmd
}

func (a *app) newStartCommand() *cobra.Command {
	cmd := newCommandGroup("start", "Start clusters that were stopped",
		"Starts clusters that were stopped: see skyctl start cluster --help. To start skyd, the server on this "+
			"computer,\n"+
			"use skyctl server start.",
		"  skyctl start cluster dev", a.newStartClusterCommand())
	cmd.Args = refuseOtherSubject("to start skyd: skyctl server start")
	return cmd
}

// stopOptions is one run of stop cluster.
type stopOptions struct {
	powerOptions
	yes bool
	// confirmed are the ids of the clusters that one question was about; nil before it, and without it.
	confirmed map[string]bool
}

func (a *app) newStopClusterCommand() *cobra.Command {
	o := &stopOptions{powerOptions: powerOptions{app: a}}
	cmd := &cobra.Command{
		Use:     "cluster NAME... | -l SELECTOR | --all",
		Aliases: listAliases("cluster"),
		Short:   "End the machines of clusters, and keep their state in snapshots",
		Long: `Takes a snapshot of a cluster, keeps it off the machines, checks it there, and only then ends all
machines. STATUS is then STOPPED: nothing is billed but the storage of the snapshot, and sweeps leave
the cluster alone. skyctl start cluster brings it back.

Data in volumes on the disks of the machines is lost, and so are pods that no controller starts
again. The command lists them before it asks. If the snapshot cannot be taken or kept, nothing is ended.

You can name several clusters, or select them with -l or --all. The command asks once for all of
them; if one that you name does not exist, it stops none. One that cannot be stopped, such as a
cluster that is being created, does not stop the others.`,
		Example: `  skyctl stop cluster dev
  skyctl stop cluster dev --yes --wait -o json
  skyctl stop clusters -l team=vision
  skyctl stop clusters --all`,
		ValidArgsFunction: a.completeMoreClustersIn(api.PhaseReady, api.PhaseError),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args, powerSteps{confirm: o.confirmSeveral, begin: o.stopCluster,
				await: o.awaitStopped})
		},
	}
	o.bindFlags(cmd, "all machines are ended")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	return cmd
}

// stopCluster requests the stop of a cluster, and asks before.
func (o *stopOptions) stopCluster(ctx context.Context, ops *client.Client, name string) (*api.Cluster, error) {
	var asked client.OperationRequest
	err := o.runWithSpinner("Stopping cluster "+name, false, func(s *terminal.Spinner) error {
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
		text := "Cluster %s%s is being stopped.\n"
		switch {
		case !asked.Changed && asked.Cluster.Status.Phase == api.PhaseStopped:
			text = "Cluster %s%s is already STOPPED.\n"
		case !asked.Changed:
			text = "Cluster %s%s is already being stopped.\n"
		}
		return o.printResult(text, name, o.where)
	})
	return asked.Cluster, err
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

// confirm lists what is lost, and asks, unless that was done for several clusters. It refuses one that was not listed.
func (o *stopOptions) confirm(ctx context.Context, ops *client.Client, s *terminal.Spinner, c *api.Cluster) error {
	switch {
	case o.yes, o.confirmed[c.Metadata.UID]:
		return nil
	case o.confirmed != nil:
		return &stateError{fmt.Errorf("cluster %s is not stopped, because it was not among those that you confirmed: "+
			"it has become ready to be stopped since. To stop it: skyctl stop cluster %[1]s", c.Metadata.Name)}
	}
	question := fmt.Sprintf("Stop cluster %s (%s, %s)%s?", c.Metadata.Name, c.Status.Phase,
		render.FormatCount(len(render.ExistingMachines(c)), "machine"), o.where)
	if err := o.requireTerminal(question); err != nil {
		return err
	}
	lost, err := ops.ListLocalData(ctx, c.Ref())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.KeepLine()
	o.printLostData(lost, err)
	return o.requireConfirmation(ctx, question, "changed")
}

// confirmSeveral lists the clusters that are not stopped yet with what each loses, and asks once. One that cannot be
// stopped is left to stopCluster, which says why.
func (o *stopOptions) confirmSeveral(ctx context.Context, ops *client.Client, names []string) error {
	if o.yes {
		return nil
	}
	var running []*api.Cluster
	o.confirmed = map[string]bool{}
	for _, name := range names {
		if c, isNew, err := o.checkRequest(ctx, ops, name); err == nil && isNew {
			running = append(running, c)
			o.confirmed[c.Metadata.UID] = true
		}
	}
	if len(running) == 0 {
		return nil
	}
	question := fmt.Sprintf("Stop these %s%s?", render.FormatCount(len(running), "cluster"), o.where)
	if err := o.requireTerminal(question); err != nil {
		return err
	}
	for _, c := range running {
		lost, err := ops.ListLocalData(ctx, c.Ref())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(o.env.Err, "%s (%s)\n", c.Metadata.Name, render.SummarizeCluster(c, o.env.Now()))
		o.printLostData(lost, err)
	}
	return o.requireConfirmation(ctx, question, "changed")
}

// requireTerminal refuses a question that nobody can answer.
func (o *stopOptions) requireTerminal(question string) error {
	if terminal.IsTerminal(o.env.In) {
		return nil
	}
	return usageErrorf("there is no terminal to answer the question %q, so use --yes; nothing was changed", question)
}

// printLostData lists what is only on the disks of machines, or says why it cannot be listed.
func (o *stopOptions) printLostData(lost operation.LocalDataResult, err error) {
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
	return o.printResult("Cluster %s%s is STOPPED after %s.%s\n", name, o.where, render.FormatDuration(p.Elapsed()),
		snapshot)
}
