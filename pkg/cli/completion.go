package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
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
	return a.completeMoreClusterNames(cmd, nil, "")
}

// completeMoreClusterNames is completeClusterNames for commands that take several: it leaves out those in args.
func (a *app) completeMoreClusterNames(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClusterSummaries(ctx) // unreadable clusters are not offered
		for i := range clusters {
			if name := clusters[i].Metadata.Name; !slices.Contains(args, name) {
				names = append(names, name+"\t"+string(clusters[i].Status.Phase))
			}
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

// completePoolsOfCluster offers the pools of the cluster that is the first argument.
func (a *app) completePoolsOfCluster(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	return a.completePools(cmd, firstOrEmpty(args))
}

// completePoolNames offers the pools of the cluster in --cluster.
func (a *app) completePoolNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, _ := cmd.Flags().GetString("cluster") // "" without the flag
	return a.completePools(cmd, cluster)
}

func (a *app) completePools(cmd *cobra.Command, cluster string) ([]string, cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClusters(ctx)
		for i := range clusters {
			if cluster != "" && clusters[i].Metadata.Name != cluster {
				continue
			}
			for _, p := range clusters[i].Spec.Pools {
				names = append(names, p.Name+"\t"+clusters[i].Metadata.Name)
			}
		}
		return names
	})
}

// completeMachineNames offers the workers of the cluster in --cluster, or of all.
func (a *app) completeMachineNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, _ := cmd.Flags().GetString("cluster") // "" without the flag
	return a.completeMachines(cmd, cluster, func(m api.Machine) bool { return m.Role != api.RoleHead })
}

// completeMachinesOfCluster offers all machines of a cluster.
func (a *app) completeMachinesOfCluster(cmd *cobra.Command, cluster string) ([]string, cobra.ShellCompDirective) {
	return a.completeMachines(cmd, cluster, func(api.Machine) bool { return true })
}

func (a *app) completeMachines(cmd *cobra.Command, cluster string, matches func(api.Machine) bool) ([]string,
	cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClustersWithMachines(ctx)
		for i := range clusters {
			if cluster != "" && clusters[i].Metadata.Name != cluster {
				continue
			}
			for _, m := range clusters[i].Status.Machines {
				if matches(m) {
					names = append(names, m.Name+"\t"+m.PoolName())
				}
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
