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

// completionTimeout is how long a shell may be kept waiting for names.
const completionTimeout = 500 * time.Millisecond

// completeClusterNames offers the names of clusters where something runs that knows them. It starts nothing and never
// complains.
func (a *app) completeClusterNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.ListClusterSummaries(ctx) // what can't be understood has no name to offer
		for i := range clusters {
			names = append(names, clusters[i].Metadata.Name+"\t"+string(clusters[i].Status.Phase))
		}
		return names
	})
}

// completeOrphanNames offers the names of the orphans that the last sweep saw.
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

// completeFromStore asks etcd, where something runs that knows it.
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

// knownClouds are the ones that skyd can ask, docker by itself and the rest through SkyPilot; skyctl links none of
// them, and skyd has the last word.
var knownClouds = []string{
	"docker", "aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "lambda", "mithril", "nebius",
	"oci",
	"paperspace", "primeintellect", "scp", "seeweb", "shadeform", "verda", "vsphere",
}

// fixedRegions of the clouds whose regions don't change.
var fixedRegions = map[string][]string{"docker": {"local"}}

// registerCreateCompletions offers what can be known of the values of create's flags, and keeps the shell from offering
// files for the others.
func registerCreateCompletions(cmd *cobra.Command) {
	const none = cobra.ShellCompDirectiveNoFileComp
	for flag, values := range map[string]cobra.CompletionFunc{
		"cloud":      cobra.FixedCompletions(knownClouds, none),
		"api_access": cobra.FixedCompletions([]string{api.APIAuto, api.APIPublic, api.APITunnel}, none),
		"gpu_stack": cobra.FixedCompletions([]string{api.GPUStackOperator, api.GPUStackDevicePlugin, api.GPUStackNone},
			none),
		"manager": cobra.FixedCompletions([]string{api.ManagerK8}, none),
		"region": func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			cloud, _ := cmd.Flags().GetString("cloud")
			return fixedRegions[cloud], none
		},
		"zone": cobra.NoFileCompletions, "max_hourly_cost": cobra.NoFileCompletions,
		"image_id": cobra.NoFileCompletions,
		"api_cidr": cobra.NoFileCompletions, "kubernetes_version": cobra.NoFileCompletions,
		"cpus": cobra.NoFileCompletions, "memory": cobra.NoFileCompletions, "disk_size": cobra.NoFileCompletions,
		"accelerators": cobra.NoFileCompletions, "ports": cobra.NoFileCompletions, "num_nodes": cobra.NoFileCompletions,
		"labels": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions,
	} {
		panicOnError(cmd.RegisterFlagCompletionFunc(flag, values))
	}
}
