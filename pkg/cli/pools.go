package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

// createPoolOptions is one run of create pool.
type createPoolOptions struct {
	changeFlags
	dryRun  dryRunFlags
	cluster string
	flags   *pflag.FlagSet // including those of the pool
}

func (a *app) newCreatePoolCommand() *cobra.Command {
	o := &createPoolOptions{}
	cmd := &cobra.Command{
		Use:     "pool NAME --cluster CLUSTER",
		Aliases: listAliases("pool"),
		Short:   "Add a pool of workers to a cluster",
		Long: `Adds a pool to a cluster: a named group of workers with the same machine spec, labels and taints. The
machines go to the cluster's cloud, region and network; the pool can have another zone, size, image
and accelerators than the rest, and spot machines.

If the region does not offer such machines, the command fails and changes nothing. If it offers
them but has none left, skyctl tries the next zone or instance type that fits, then waits and tries
again; skyctl describe cluster says what it waits for. With --use_spot and --spot_fallback
on_demand it takes machines at the full price instead of waiting.

The nodes of a pool have the label ` + api.NodeLabelPool + `=NAME. Labels and taints are set when a
node registers. The command returns once the change is recorded.`,
		Example: `  # two spot machines with eight A100s each, only for pods that tolerate the taint
  skyctl create pool gpu --cluster dev --accelerators A100:8 --use_spot --replicas 2 \
    --labels tier=train --taints nvidia.com/gpu=present:NoSchedule

  # larger machines that can be scaled between 1 and 10
  skyctl create pool big --cluster dev --cpus 16+ --replicas 3 --min_replicas 1 --max_replicas 10 --wait

  # only show the steps and prices
  skyctl create pool big --cluster dev --cpus 16+ --replicas 3 --dry-run

  # for scripts: the names of its machines, once they are Ready
  skyctl create pool big --cluster dev --cpus 16+ --replicas 3 --wait -o jsonpath='{.machines[*]}'`,
		Args: requirePoolName,
	}
	o.flags = cmd.Flags()
	a.bindClusterFlag(cmd, &o.cluster, "cluster that gets the pool (required)")
	bindPoolFlags(o.flags)
	o.bindFlags(cmd, "the machines of the pool are Ready")
	o.dryRun.bindFlags(cmd)
	addFieldSections(cmd)
	a.registerFieldCompletions(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := o.newRequest(cmd, args[0], a)
		if err != nil {
			return err
		}
		if o.dryRun.on {
			return a.runChangeDryRun(cmd.Context(), r, &o.dryRun)
		}
		r.output = o.dryRun.output
		r.part = &changedPart{kind: "Pool", name: args[0], find: func(c *api.Cluster) any {
			return findPoolView(c, args[0])
		}}
		return a.runChange(cmd.Context(), r)
	}
	return cmd
}

// findPoolView returns a pool as get pool shows it; nil if the cluster has none of that name.
func findPoolView(c *api.Cluster, name string) any {
	for _, p := range render.ListPools([]api.Cluster{*c}) {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// newRequest reads the flags. Everything that needs no cluster is checked.
func (o *createPoolOptions) newRequest(cmd *cobra.Command, name string, a *app) (changeRequest, error) {
	if err := requireClusterFlag(cmd, o.cluster); err != nil {
		return changeRequest{}, err
	}
	p, err := api.ParsePool(name, readFlagValues(o.flags))
	if err != nil {
		return changeRequest{}, err
	}
	size := render.FormatCount(p.Replicas, "machine")
	return changeRequest{
		changeFlags: o.changeFlags, cluster: o.cluster, newPool: name,
		title: fmt.Sprintf("Creating pool %s of cluster %s", name, o.cluster),
		change: func(c *api.Cluster) error {
			if c.Spec.HasPool(p) {
				return nil // the same create again
			}
			first := !c.Spec.HasAccelerators()
			if err := c.CreatePool(p, a.env.Now()); err != nil || !first {
				return err
			}
			return a.applyGPUSettings(c, p)
		},
		note: func(c *api.Cluster) string { return formatNoStackNote(c, p) },
		recorded: func(*api.Cluster) string {
			return fmt.Sprintf("Created pool %s of cluster %s with %s.", name, o.cluster, size)
		},
		same: func(*api.Cluster) string {
			return fmt.Sprintf("Cluster %s already has this pool %s.", o.cluster, name)
		},
		goal: func(*api.Cluster) client.Goal { return newPoolSizeGoal("at "+size+" in pool "+name, name) },
		reached: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s has %s", name, o.cluster, size)
		},
	}, o.dryRun.checkCombination(cmd)
}

// applyGPUSettings copies this command's settings of the GPU stack into the spec of a cluster that gets its first
// accelerators, as create cluster does.
func (a *app) applyGPUSettings(c *api.Cluster, p api.Pool) error {
	if p.Machine.Accelerators == "" {
		return nil
	}
	group := c.Spec.PoolGroup(p)
	a.cfg.ApplyToSpec(&group)
	c.Spec.GPU = group.GPU
	return c.Spec.Validate()
}

// formatNoStackNote says that nothing makes the accelerators of a pool available to pods; empty if something does.
func formatNoStackNote(c *api.Cluster, p api.Pool) string {
	accelerators, err := api.ParseAccelerators(p.Machine.Accelerators)
	if err != nil || p.Machine.Accelerators == "" || c.Spec.GPUStack != api.GPUStackNone ||
		!api.IsNVIDIA(accelerators.Name) {
		return ""
	}
	return fmt.Sprintf("the gpu_stack of cluster %s is none, so skyctl installs nothing for the accelerators of "+
		"pool %s: "+
		"install NVIDIA's GPU Operator or device plugin, or create a cluster of its own for them",
		c.Metadata.Name, p.Name)
}

func (a *app) newDeletePoolCommand() *cobra.Command {
	f, dryRun := &changeFlags{}, &dryRunFlags{deletes: "pool"}
	var cluster string
	cmd := &cobra.Command{
		Use:     "pool NAME --cluster CLUSTER",
		Aliases: listAliases("pool"),
		Short:   "Delete a pool of a cluster and terminate its machines",
		Long: `Deletes a pool: its machines are cordoned and drained as in scale cluster, then terminated, and their
nodes are removed. Pods that only fit into this pool stay Pending.

If the pool has the only workers of the cluster, the command asks first, because only the head is
left to run pods.`,
		Example: `  skyctl delete pool gpu --cluster dev
  skyctl delete pool default --cluster dev --yes --wait`,
		Args:              requirePoolName,
		ValidArgsFunction: a.completePoolNames,
	}
	a.bindClusterFlag(cmd, &cluster, "cluster of the pool (required)")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask for confirmation")
	f.bindFlags(cmd, "the machines of the pool are gone")
	dryRun.bindFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := requireClusterFlag(cmd, cluster); err != nil {
			return err
		}
		if err := dryRun.checkCombination(cmd); err != nil {
			return err
		}
		r := newDeletePoolRequest(*f, cluster, args[0])
		if dryRun.on {
			return a.runChangeDryRun(cmd.Context(), r, dryRun)
		}
		r.output, r.part = dryRun.output, &changedPart{kind: "Pool", name: args[0]}
		return a.runChange(cmd.Context(), r)
	}
	return cmd
}

func newDeletePoolRequest(f changeFlags, cluster, pool string) changeRequest {
	return changeRequest{
		changeFlags: f, cluster: cluster, title: fmt.Sprintf("Deleting pool %s of cluster %s", pool, cluster),
		change: func(c *api.Cluster) error {
			if c.Spec.FindPool(pool) == nil {
				return newPoolMissingError(c, pool)
			}
			return c.DeletePool(pool)
		},
		question: func(c *api.Cluster) string {
			if !c.Spec.IsLastPoolWithWorkers(pool) {
				return ""
			}
			return fmt.Sprintf("Delete pool %s with the only workers of cluster %s (%s)?", pool, cluster,
				render.FormatCount(c.Spec.FindPool(pool).Replicas, "machine"))
		},
		recorded: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s is being deleted.", pool, cluster)
		},
		same: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s is being deleted.", pool, cluster)
		},
		goal: func(*api.Cluster) client.Goal {
			return client.Goal{Name: "without the machines of pool " + pool, IsReached: func(c *api.Cluster) bool {
				isOfPool := func(m api.Machine) bool { return m.PoolName() == pool }
				return c.Spec.FindPool(pool) != nil || !slices.ContainsFunc(c.Status.Machines, isOfPool)
			}}
		},
		reached: func(*api.Cluster) string { return fmt.Sprintf("Deleted pool %s of cluster %s", pool, cluster) },
	}
}

func (a *app) newGetPoolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pools [CLUSTER...] | NAME... --cluster CLUSTER",
		Aliases: listAliases("pools"),
		Short:   "List the pools of clusters",
		Long: `Lists the pools of the clusters you name, or of all; with --cluster, only the pools you name.
REPLICAS are the machines asked for, with the bounds of the pool if it has some; READY are those that
are Ready. RESOURCES are those of one machine, and PRICE/H is the price of all machines of the pool
that exist. The control plane is not a pool: see skyctl get machines.`,
		Example: `  skyctl get pools dev
  skyctl get pools
  skyctl get pool gpu --cluster dev -o yaml`,
		Args:              func(_ *cobra.Command, args []string) error { return checkPartNames(args) },
		ValidArgsFunction: a.completeClustersOrPools,
	}
	cluster := ""
	a.bindClusterFlag(cmd, &cluster, "only pools of this cluster; then the arguments are names of pools")
	output := addListOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("cluster") {
			if err := validateClusterFlag(cluster); err != nil {
				return err
			}
		}
		return showParts(cmd.Context(), a, output, partsView[render.PoolView]{title: "Fetching pools", kind: "Pool",
			items: render.ListPools, list: func(items []render.PoolView) any { return render.NewPoolList(items) },
			table: func(clusters []api.Cluster) *render.Table { return render.NewPoolTable(clusters, a.env.Now()) },
		}, func(ctx context.Context, s *store.Store) ([]api.Cluster, bool, error) {
			return readPoolsNamed(ctx, s, cluster, args)
		})
	}
	return cmd
}
