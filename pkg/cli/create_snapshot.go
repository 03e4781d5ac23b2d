package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

// createSnapshotOptions is one run of create snapshot.
type createSnapshotOptions struct {
	*app
	cluster, name string
	wait          bool
	timeout       waitTimeoutValue
	output        *outputFlags
}

func (a *app) newCreateSnapshotCommand() *cobra.Command {
	o := &createSnapshotOptions{app: a}
	cmd := &cobra.Command{
		Use:     "snapshot --cluster CLUSTER",
		Aliases: listAliases("snapshot"),
		Short:   "Take a snapshot of a cluster's state now",
		Long: `Takes a snapshot of a cluster's etcd: everything that kubectl shows, but no data in volumes. skyd keeps
it off the machines, sealed, in its directory or in the bucket of the cluster, beside those that are
taken by schedule. It stays until you delete it by name.

The command returns once the request is recorded. With --wait it returns once the snapshot is off the
machines, so that it outlives them.`,
		Example: `  skyctl create snapshot --cluster prod
  skyctl create snapshot --cluster prod --name before-migration --wait
  skyctl create snapshot --cluster prod --wait -o jsonpath='{.name}'`,
		Args: refuseArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("cluster") {
				return usageErrorf("missing --cluster: %s --cluster CLUSTER", cmd.CommandPath())
			}
			return o.run(cmd.Context(), cmd.Flags().Changed("name"))
		},
	}
	a.bindClusterFlag(cmd, &o.cluster, "cluster that the snapshot is of (required)")
	cmd.Flags().StringVar(&o.name, "name", "", "name of the snapshot (default: manual- and the time)")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until the snapshot is kept off the machines; Ctrl-C stops only "+
		"the wait")
	o.timeout.bindFlag(cmd)
	o.output = addChangedOutputFlags(cmd)
	return cmd
}

func (o *createSnapshotOptions) run(ctx context.Context, named bool) error {
	if err := validateClusterFlag(o.cluster); err != nil {
		return err
	}
	if named {
		if err := api.ValidateSnapshotName(o.name); err != nil {
			return err
		}
	}
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	var asked client.SnapshotRequest
	err = o.runWithSpinner("Requesting a snapshot of cluster "+o.cluster, false, func(s *terminal.Spinner) error {
		st, err := ops.ConnectStore(ctx)
		if err != nil {
			return err
		}
		c, err := st.ReadCluster(ctx, o.cluster)
		if err != nil {
			return err
		}
		if err := o.requireSnapshotWorker(ctx, ops, s, c.Spec); err != nil {
			return err
		}
		if asked, err = ops.CreateSnapshot(ctx, o.cluster, o.name); err != nil {
			return err
		}
		s.KeepLine()
		o.noteUnstarted(asked.Unstarted, "skyd takes it within a minute once it can")
		return o.printResult("Snapshot %s of cluster %s is requested.\n", asked.Snapshot.Name, o.cluster)
	})
	switch {
	case err != nil:
		return err
	case !o.wait:
		return o.writeSnapshot(o.output, asked.Snapshot)
	}
	return o.awaitSnapshot("Taking snapshot "+asked.Snapshot.Name, asked.Snapshot, func(s *terminal.Spinner) error {
		kept, err := ops.AwaitSnapshotKept(ctx, asked.Snapshot, o.timeout.value, s.PrintNote)
		if err != nil {
			return err
		}
		s.KeepLine()
		return errors.Join(o.writeSnapshot(o.output, kept),
			o.printResult("Snapshot %s is kept: %s.\n", kept.Name, render.DescribeKept(kept)))
	})
}
