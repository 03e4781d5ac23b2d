package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

// bindSnapshotCluster adds the flag --cluster of a command about a snapshot.
func (a *app) bindSnapshotCluster(cmd *cobra.Command, cluster *string) {
	a.bindClusterFlag(cmd, cluster, "cluster of the snapshot, which may be deleted (required)")
}

// requireSnapshotName accepts the name of a snapshot.
func requireSnapshotName(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a snapshot"); err != nil {
		return err
	}
	return validateSnapshotArg(args[0])
}

// validateSnapshotArg checks the name of a snapshot that exists.
func validateSnapshotArg(name string) error {
	if name == "" || len(name) > 63 || strings.ContainsAny(name, "/ ") {
		return &api.FieldError{Field: "snapshot", Value: name,
			Want: "the name of a snapshot, as skyctl get snapshots lists them"}
	}
	return nil
}

// readSnapshotFor finds the snapshot with a name of the cluster in --cluster.
func (a *app) readSnapshotFor(ctx context.Context, cluster, name string) (*client.Client, api.Snapshot, error) {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return nil, api.Snapshot{}, err
	}
	s, err := ops.FindSnapshot(ctx, cluster, name)
	return ops, s, err
}

// existingClusters returns the UIDs of the clusters that exist. Those that cannot be read count as existing.
func existingClusters(ctx context.Context, ops *client.Client) (map[string]bool, error) {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	clusters, err := s.ListClusterSummaries(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return nil, err
	}
	existing := map[string]bool{}
	for _, c := range addDamagedClusters(ctx, s, clusters, err) {
		existing[c.Metadata.UID] = true
	}
	return existing, nil
}

// requireSnapshotWorker refuses a worker that does not know snapshots.
func (a *app) requireSnapshotWorker(ctx context.Context, ops *client.Client, s *terminal.Spinner,
	spec api.ClusterSpec) error {
	return a.checkOperationWorker(ctx, ops, s, spec.ControlPlaneGroup())
}

// noteUnstarted says that a request is recorded, and starts later.
func (a *app) noteUnstarted(err error, starts string) {
	if err != nil {
		a.printNote(fmt.Sprintf("the request is recorded, and %s: %v", starts, err))
	}
}

// writeSnapshot writes a snapshot, as describe snapshot does, if -o asks for it.
func (a *app) writeSnapshot(o *outputFlags, s api.Snapshot) error {
	if !o.isStructured() {
		return nil
	}
	return o.writeKind(a.env.Out, "Snapshot", s)
}

// snapshotInterrupted is the error of a wait that Ctrl-C has ended.
func snapshotInterrupted(s api.Snapshot) error {
	return &interruptedError{hint: fmt.Sprintf("skyd goes on. To see it: skyctl describe snapshot %s --cluster %s",
		s.Name,
		s.Cluster)}
}

// awaitSnapshot shows a spinner while a wait for a snapshot runs, unless it is told not to wait.
func (a *app) awaitSnapshot(title string, s api.Snapshot, wait func(*terminal.Spinner) error) error {
	err := a.runWithSpinner(title, false, wait)
	if err != nil && exitCode(err) == ExitInterrupted {
		return snapshotInterrupted(s)
	}
	return err
}

// completeSnapshotNames offers the snapshots of the cluster in --cluster, or of all.
func (a *app) completeSnapshotNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cluster, _ := cmd.Flags().GetString("cluster") // "" without the flag
	return a.completeSnapshots(cmd, func(s api.Snapshot) bool {
		return (cluster == "" || s.Cluster == cluster) && !slices.Contains(args, s.Name)
	})
}

// completeOneSnapshotName is completeSnapshotNames for commands that take one.
func (a *app) completeOneSnapshotName(cmd *cobra.Command, args []string, typed string) ([]string,
	cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeSnapshotNames(cmd, args, typed)
}

func (a *app) completeSnapshots(cmd *cobra.Command, isOffered func(api.Snapshot) bool) ([]string,
	cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		all, _ := s.ListSnapshots(ctx, "") // unreadable snapshots are not offered
		for _, s := range all {
			if isOffered(s) {
				names = append(names, cobra.CompletionWithDesc(s.Name, render.SummarizeSnapshot(s, a.env.Now())))
			}
		}
		return names
	})
}

// completeClustersIn offers the names of clusters in some phases, for one argument.
func (a *app) completeClustersIn(phases ...api.Phase) cobra.CompletionFunc {
	complete := a.completeMoreClustersIn(phases...)
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

// completeMoreClustersIn is completeClustersIn for commands that take several: it leaves out those in args.
func (a *app) completeMoreClustersIn(phases ...api.Phase) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
			clusters, _ := s.ListClusterSummaries(ctx) // unreadable clusters are not offered
			for i := range clusters {
				name, phase := clusters[i].Metadata.Name, clusters[i].Status.Phase
				if slices.Contains(phases, phase) && !slices.Contains(args, name) {
					names = append(names, name+"\t"+string(phase))
				}
			}
			return names
		})
	}
}

// isMissingSnapshot reports whether a snapshot does not exist.
func isMissingSnapshot(err error) bool {
	var missing *store.SnapshotMissingError
	return errors.As(err, &missing)
}
