package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

// startOptions is one run of start cluster.
type startOptions struct {
	*app
	wait     bool
	timeout  waitTimeoutValue
	selector *selectorValue
}

func (a *app) newStartClusterCommand() *cobra.Command {
	o := &startOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME... | -l SELECTOR | --all",
		Aliases: listAliases("cluster"),
		Short:   "Launch the machines of stopped clusters, and restore their state",
		Long: `Launches machines for a stopped cluster as its spec says, in another place if the old one has no room,
and restores the snapshot of its stop. The kubeconfig's path stays. If that fails, the cluster is
STOPPED again, and no machine is left.

You can name several clusters, or select them with -l or --all; those that run stay as they are. If
one that you name does not exist, none is started. One that cannot be started does not stop the
others.

To start from another snapshot, use skyctl restore cluster with --new-machines.`,
		Example: `  skyctl start cluster dev
  skyctl start cluster dev --wait
  skyctl start clusters -l team=vision
  skyctl start clusters --all`,
		ValidArgsFunction: a.completeMoreClustersIn(api.PhaseStopped),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	o.selector = a.addSelectionFlags(cmd, "clusters")
	cmd.Args = o.selector.requireNames
	cmd.Flags().BoolVar(&o.wait, "wait", false, "show the progress until the cluster is READY; Ctrl-C stops only the "+
		"display")
	o.timeout.bindFlag(cmd)
	return cmd
}

func (o *startOptions) run(ctx context.Context, names []string) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	names, err := o.resolveNames(ctx, o.selector, names)
	if err != nil || len(names) == 0 {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		s, err := ops.ConnectStore(ctx)
		if err == nil {
			err = requireExisting(ctx, s, names)
		}
		if err != nil {
			return err
		}
	}
	var await func(context.Context, *api.Cluster) error
	if o.wait {
		await = func(ctx context.Context, c *api.Cluster) error {
			return o.awaitRestored(ctx, ops, c, "Starting cluster", o.timeout.value)
		}
	}
	return o.runThenAwait(ctx, names, func(ctx context.Context, name string) (*api.Cluster, error) {
		return o.startCluster(ctx, ops, name)
	}, await)
}

// startCluster requests the start of a cluster.
func (o *startOptions) startCluster(ctx context.Context, ops *client.Client, name string) (*api.Cluster, error) {
	var asked client.OperationRequest
	err := o.runWithSpinner("Starting cluster "+name, false, func(s *terminal.Spinner) error {
		st, err := ops.ConnectStore(ctx)
		if err != nil {
			return err
		}
		seen, err := st.ReadCluster(ctx, name)
		if err != nil {
			return err
		}
		if err := o.requireSnapshotWorker(ctx, ops, s, seen.Spec); err != nil {
			return err
		}
		if asked, err = ops.StartCluster(ctx, seen.Ref()); err != nil {
			return err
		}
		s.KeepLine()
		o.noteUnstarted(asked.Unstarted, "the next sweep starts it")
		text := "Cluster %s is being started.\n"
		switch {
		case !asked.Changed && asked.Cluster.Status.Phase == api.PhaseReady:
			text = "Cluster %s is already READY.\n"
		case !asked.Changed:
			text = "Cluster %s is already being started.\n"
		}
		_, err = fmt.Fprintf(o.env.Out, text, name)
		return err
	})
	return asked.Cluster, err
}
