package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

// startOptions is one run of start cluster.
type startOptions struct{ powerOptions }

func (a *app) newStartClusterCommand() *cobra.Command {
	o := &startOptions{powerOptions{app: a}}
	cmd := &cobra.Command{
		Use:     "cluster NAME... | -l SELECTOR | --all",
		Aliases: listAliases("cluster"),
		Short:   "Launch the machines of stopped clusters, and restore their state",
		Long: `Launches machines for a stopped cluster as its spec says, in another place if the old one has no room,
and restores the snapshot of its stop. The kubeconfig keeps its path. If that fails, the cluster is
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
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args, powerSteps{begin: o.startCluster, await: o.awaitStarted})
		},
	}
	o.bindFlags(cmd, "the cluster is READY")
	return cmd
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
		text := "Cluster %s%s is being started.\n"
		switch {
		case !asked.Changed && asked.Cluster.Status.Phase == api.PhaseReady:
			text = "Cluster %s%s is already READY.\n"
		case !asked.Changed:
			text = "Cluster %s%s is already being started.\n"
		}
		return o.printResult(text, name, o.where)
	})
	return asked.Cluster, err
}

func (o *startOptions) awaitStarted(ctx context.Context, ops *client.Client, asked *api.Cluster) error {
	return o.awaitRestored(ctx, ops, asked, "Starting cluster", o.where, o.timeout.value)
}
