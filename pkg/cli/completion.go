package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/store"
)

// completionTimeout is how long a shell waits for names.
const completionTimeout = 500 * time.Millisecond

// completeClusterNames offers the names of clusters if the servers are running. It starts no server and reports no
// error.
func (a *app) completeClusterNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClusterSummaries(ctx) // unreadable clusters are not offered
		for i := range clusters {
			names = append(names, clusters[i].Metadata.Name+"\t"+string(clusters[i].Status.Phase))
		}
		return names
	})
}

// completeOrphanNames offers the names of the orphans that the last sweep found.
func (a *app) completeOrphanNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		orphans, _ := s.ListOrphans(ctx)
		for _, o := range orphans {
			if !slices.Contains(args, o.Name) {
				names = append(names, o.Name+"\t"+o.Cloud)
			}
		}
		return names
	})
}

// completeFromStore reads etcd, if it is running.
func (a *app) completeFromStore(cmd *cobra.Command, ask func(context.Context, *store.Store) []string) ([]string,
	cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	cfg, err := a.loadSettings()
	if err != nil {
		return nil, none
	}
	if !cfg.IsExternal() {
		state, err := daemon.FindRunning(cfg)
		if err != nil {
			return nil, none
		}
		state.ApplyTo(cfg)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	ops := client.New(cfg, a.env.Now)
	defer ops.Close()
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, none
	}
	return ask(ctx, s), none
}
