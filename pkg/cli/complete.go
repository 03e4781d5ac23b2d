package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/operations"
	"github.com/sky-shift/skyctl/pkg/store"
)

// completionPatience is how long a shell may be kept waiting for names.
const completionPatience = 500 * time.Millisecond

// completeNames offers the names of clusters where something runs that knows them. It starts nothing and never complains.
func (a *app) completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.complete(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		clusters, _ := s.Overview(ctx) // what can't be understood has no name to offer
		for i := range clusters {
			names = append(names, clusters[i].Metadata.Name+"\t"+string(clusters[i].Status.Phase))
		}
		return names
	})
}

// completeOrphans offers the names of the orphans that the last sweep saw.
func (a *app) completeOrphans(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		orphans, _ := s.Orphans(ctx)
		for _, o := range orphans {
			if !slices.Contains(args, o.Name) {
				names = append(names, o.Name+"\t"+o.Cloud)
			}
		}
		return names
	})
}

// complete asks etcd, where something runs that knows it.
func (a *app) complete(cmd *cobra.Command, ask func(context.Context, *store.Store) []string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	cfg, err := a.loadSettings()
	if err != nil {
		return nil, none
	}
	if !cfg.External() {
		state, err := daemon.Status(cfg)
		if err != nil {
			return nil, none
		}
		state.Use(cfg)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	ops := operations.New(cfg, a.env.Now)
	defer ops.Close()
	s, err := ops.Store(ctx)
	if err != nil {
		return nil, none
	}
	return ask(ctx, s), none
}

// clouds are the ones that skyd can ask, docker by itself and the rest through SkyPilot; skyctl links none of them, and skyd
// has the last word.
var clouds = []string{
	"docker", "aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "lambda", "mithril", "nebius", "oci",
	"paperspace", "primeintellect", "scp", "seeweb", "shadeform", "verda", "vsphere",
}

// regions of the clouds whose regions don't change.
var regions = map[string][]string{"docker": {"local"}}

// completeCreate offers what can be known of the values of create's flags, and keeps the shell from offering files for the
// others.
func completeCreate(cmd *cobra.Command) {
	const none = cobra.ShellCompDirectiveNoFileComp
	for flag, values := range map[string]cobra.CompletionFunc{
		"cloud":      cobra.FixedCompletions(clouds, none),
		"api_access": cobra.FixedCompletions([]string{api.APIAuto, api.APIPublic, api.APITunnel}, none),
		"gpu_stack":  cobra.FixedCompletions([]string{api.GPUStackOperator, api.GPUStackDevicePlugin, api.GPUStackNone}, none),
		"manager":    cobra.FixedCompletions([]string{api.ManagerK8}, none),
		"region": func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			cloud, _ := cmd.Flags().GetString("cloud")
			return regions[cloud], none
		},
		"zone": cobra.NoFileCompletions, "max_hourly_cost": cobra.NoFileCompletions, "image_id": cobra.NoFileCompletions,
		"api_cidr": cobra.NoFileCompletions, "kubernetes_version": cobra.NoFileCompletions,
		"cpus": cobra.NoFileCompletions, "memory": cobra.NoFileCompletions, "disk_size": cobra.NoFileCompletions,
		"accelerators": cobra.NoFileCompletions, "ports": cobra.NoFileCompletions, "num_nodes": cobra.NoFileCompletions,
		"labels": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions,
	} {
		must(cmd.RegisterFlagCompletionFunc(flag, values))
	}
}
