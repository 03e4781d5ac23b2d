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
	wait    bool
	timeout waitTimeoutValue
}

func (a *app) newStartClusterCommand() *cobra.Command {
	o := &startOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: listAliases("cluster"),
		Short:   "Launch the machines of a stopped cluster, and restore its state",
		Long: `Launches machines for a stopped cluster as its spec says, in another place if the old one has no room,
and restores the snapshot of its stop. The kubeconfig's path stays. If that fails, the cluster is
STOPPED again, and no machine is left.

To start from another snapshot, use skyctl restore cluster with --new-machines.`,
		Example: `  skyctl start cluster dev
  skyctl start cluster dev --wait`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClustersIn(api.PhaseStopped),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "show the progress until the cluster is READY; Ctrl-C stops only the "+
		"display")
	o.timeout.bindFlag(cmd)
	return cmd
}

func (o *startOptions) run(ctx context.Context, name string) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	var asked client.OperationRequest
	err = o.runWithSpinner("Starting cluster "+name, false, func(s *terminal.Spinner) error {
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
	if err != nil || !o.wait {
		return err
	}
	return o.awaitRestored(ctx, ops, asked.Cluster, "Starting cluster", o.timeout.value)
}
