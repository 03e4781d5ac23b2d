package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

func (a *app) newGetSnapshotsCommand() *cobra.Command {
	cluster := ""
	cmd := &cobra.Command{
		Use:     "snapshots",
		Aliases: listAliases("snapshots"),
		Short:   "List the snapshots of clusters",
		Long: `Lists the snapshots of all clusters, or of the one in --cluster, the newest first. Those of deleted
clusters are listed too.

WHERE is where a snapshot is kept: skyd (its directory), or a bucket. One that is only on a machine so
far is lost with it. VERIFIED is the result of the last skyctl verify snapshot: proven, DAMAGED or
unknown (it could not be verified). -o wide adds why it was taken, its revision and its keys.`,
		Example: `  skyctl get snapshots
  skyctl get snapshots --cluster prod
  skyctl get snapshots --cluster prod -o json`,
		Args: refuseArgs,
	}
	a.bindClusterFlag(cmd, &cluster, "only snapshots of this cluster, which may be deleted")
	output := addListOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("cluster") {
			if err := validateClusterFlag(cluster); err != nil {
				return err
			}
		}
		return a.showSnapshots(cmd.Context(), cluster, output)
	}
	return cmd
}

func (a *app) showSnapshots(ctx context.Context, cluster string, output *outputFlags) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	return a.runWithSpinner("Fetching snapshots", output.isStructured(), func(s *terminal.Spinner) error {
		all, unreadable := ops.ListSnapshots(ctx, cluster)
		if all == nil && unreadable != nil {
			return unreadable
		}
		if cluster != "" && len(all) == 0 {
			st, err := ops.ConnectStore(ctx)
			if err != nil {
				return err
			}
			if _, err := st.ReadCluster(ctx, cluster); err != nil {
				return err
			}
		}
		existing, err := existingClusters(ctx, ops)
		if err == nil {
			err = sortObjects(output, all)
		}
		if err != nil {
			return err
		}
		s.KeepLine()
		if output.isStructured() {
			return errors.Join(output.write(a.env.Out, render.NewSnapshotList(all)),
				unreadable)
		}
		err = output.writeTable(a.env.Out, render.NewSnapshotTable(all, existing, output.isWide(), a.env.Now()))
		if err == nil && len(all) == 0 {
			fmt.Fprintln(a.notes(), "There are no snapshots.")
		}
		return errors.Join(err, unreadable)
	})
}

func (a *app) newDescribeSnapshotCommand() *cobra.Command {
	cluster := ""
	cmd := &cobra.Command{
		Use:     "snapshot NAME --cluster CLUSTER",
		Aliases: listAliases("snapshot"),
		Short:   "Show the details of a snapshot",
		Long: `Shows what is known of a snapshot: why and from which machine it was taken, where it is kept, its
checksum and revision, the number of its keys, its last verification, and the spec of the cluster at
that time.`,
		Example: `  skyctl describe snapshot before-migration --cluster prod
  skyctl describe snapshot before-migration --cluster prod -o yaml`,
		Args:              requireSnapshotName,
		ValidArgsFunction: a.completeOneSnapshotName,
	}
	a.bindSnapshotCluster(cmd, &cluster)
	output := addOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := requireClusterFlag(cmd, cluster); err != nil {
			return err
		}
		return a.describeSnapshot(cmd.Context(), cluster, args[0], output)
	}
	return cmd
}

func (a *app) describeSnapshot(ctx context.Context, cluster, name string, output *outputFlags) error {
	ops, s, err := a.readSnapshotFor(ctx, cluster, name)
	if err != nil {
		return err
	}
	if output.isStructured() {
		return output.writeKind(a.env.Out, "Snapshot", s)
	}
	existing, err := existingClusters(ctx, ops)
	if err != nil {
		return err
	}
	page := render.SnapshotPage{Snapshot: s, ClusterExists: existing[s.ClusterUID], Now: a.env.Now()}
	return terminal.WritePage(a.env.Out, page.String())
}

// listSnapshotsOf returns the snapshots of one cluster for its page; nil if they cannot be read.
func (a *app) listSnapshotsOf(ctx context.Context, ref api.Ref) []api.Snapshot {
	s, err := a.ops.ConnectStore(ctx)
	if err != nil {
		return nil
	}
	all, err := s.ListSnapshots(ctx, ref.UID)
	if err != nil && all == nil {
		return nil
	}
	return append([]api.Snapshot{}, all...)
}
