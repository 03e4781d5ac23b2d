package cli

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
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

// completeClustersBeforeLabels offers the names of clusters until the arguments have come to the labels.
func (a *app) completeClustersBeforeLabels(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	if slices.ContainsFunc(args, api.IsLabelArgument) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeMoreClusterNames(cmd, args, "")
}

// completeLabels offers the labels of clusters as selectors.
func (a *app) completeLabels(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (selectors []string) {
		clusters, _ := s.ListClusterSummaries(ctx) // unreadable clusters have no labels
		count := map[string]int{}
		for i := range clusters {
			for key, value := range clusters[i].Metadata.Labels {
				count[key+"="+value]++
			}
		}
		for _, label := range slices.Sorted(maps.Keys(count)) {
			selectors = append(selectors, cobra.CompletionWithDesc(label, render.FormatCount(count[label], "cluster")))
		}
		return selectors
	})
}

// completePoolsOfCluster offers the pools of the cluster that is the first argument.
func (a *app) completePoolsOfCluster(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	return a.completePools(cmd, firstOrEmpty(args), nil)
}

// completePoolNames offers the pools of the cluster in --cluster.
func (a *app) completePoolNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cluster, _ := cmd.Flags().GetString("cluster") // "" without the flag
	return a.completePools(cmd, cluster, nil)
}

// completeClustersOrPools offers the pools of the cluster in --cluster, or clusters without that.
func (a *app) completeClustersOrPools(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	if cluster, _ := cmd.Flags().GetString("cluster"); cluster != "" {
		return a.completePools(cmd, cluster, args)
	}
	return a.completeMoreClusterNames(cmd, args, "")
}

func (a *app) completePools(cmd *cobra.Command, cluster string, without []string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClusters(ctx)
		for i := range clusters {
			if cluster != "" && clusters[i].Metadata.Name != cluster {
				continue
			}
			for _, p := range clusters[i].Spec.Pools {
				if !slices.Contains(without, p.Name) {
					names = append(names, cobra.CompletionWithDesc(p.Name,
						render.FormatCount(p.Replicas, "machine")+" of "+clusters[i].Metadata.Name))
				}
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

// completeMoreMachineNames offers the machines of all clusters that are not in args.
func (a *app) completeMoreMachineNames(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeMachines(cmd, "", func(m api.Machine) bool { return !slices.Contains(args, m.Name) })
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
					names = append(names, describeMachine(m))
				}
			}
		}
		return names
	})
}

// completeClustersAndMachines offers the names of clusters and of machines.
func (a *app) completeClustersAndMachines(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeMoreClustersAndMachines(cmd, nil, "")
}

// completeMoreClustersAndMachines is completeClustersAndMachines for commands that take several: it leaves out those in
// args.
func (a *app) completeMoreClustersAndMachines(cmd *cobra.Command, args []string, _ string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClustersWithMachines(ctx) // unreadable clusters are not offered
		for i := range clusters {
			c := &clusters[i]
			if !slices.Contains(args, c.Metadata.Name) {
				names = append(names, cobra.CompletionWithDesc(c.Metadata.Name, string(c.Status.Phase)))
			}
			for _, m := range c.Status.Machines {
				if m.State.MayExist() && !slices.Contains(args, m.Name) {
					names = append(names, describeMachine(m))
				}
			}
		}
		return names
	})
}

// describeMachine returns the name of a machine with what it is.
func describeMachine(m api.Machine) string {
	about := string(m.Role)
	if pool := m.PoolName(); pool != "" {
		about += " of pool " + pool
	}
	return cobra.CompletionWithDesc(m.Name, about+", "+string(m.State))
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
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout+a.env.Patience)
	defer cancel()
	ops := a.newClient(cfg)
	defer ops.Close()
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, none
	}
	return ask(ctx, s), none
}
