package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newScaleCommand() *cobra.Command {
	return newCommandGroup("scale", "Change the number of machines of a cluster",
		"Changes the number of machines of a cluster: see skyctl scale cluster --help.",
		"  skyctl scale cluster dev --num_nodes 5", a.newScaleClusterCommand())
}

// scaleOptions is one run of scale cluster.
type scaleOptions struct {
	changeFlags
	dryRun                   dryRunFlags
	numNodes, pool, replicas string
}

func (a *app) newScaleClusterCommand() *cobra.Command {
	o := &scaleOptions{}
	cmd := &cobra.Command{
		Use:     "cluster NAME --num_nodes N | --pool POOL --replicas N",
		Aliases: listAliases("cluster"),
		Short:   "Change the number of machines of a cluster, or of one pool",
		Long: `Changes the number of machines of a cluster. --num_nodes counts all machines, as in create cluster,
and changes the pool "default"; --pool with --replicas changes any pool. The cluster keeps running.

New machines go to the cluster's region and network. Machines that leave are cordoned and drained
first: pods are evicted, and PodDisruptionBudgets are honored until the pool's drain timeout. The
machines that leave are those that do the least harm: not Ready, cordoned, with the fewest pods,
the newest. To choose one yourself, use skyctl delete machine.

The command returns once the change is recorded; it is carried out even if you close this terminal.
If two people change a cluster at once, the second one is told to look again (exit code 3).
--dry-run shows the steps, machine by machine, and the price per hour before and after.`,
		Example: `  # five machines in all, including the head
  skyctl scale cluster dev --num_nodes 5

  # one pool; wait until its machines are Ready
  skyctl scale cluster dev --pool gpu --replicas 8 --wait

  # only show what would happen
  skyctl scale cluster dev --pool gpu --replicas 0 --dry-run

  # for scripts: the cluster once it has its machines
  skyctl scale cluster dev --num_nodes 5 --wait -o json`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	cmd.Flags().StringVar(&o.numNodes, "num_nodes", "", "number of machines of the cluster, including the head")
	cmd.Flags().StringVar(&o.pool, "pool", "", "pool to change")
	cmd.Flags().StringVar(&o.replicas, "replicas", "", "number of machines of the pool")
	o.bindFlags(cmd, "the cluster has that many machines")
	o.dryRun.bindFlags(cmd)
	registerCompletion(cmd, "pool", a.completePoolsOfCluster)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := o.newRequest(cmd, args[0])
		if err != nil {
			return err
		}
		if o.dryRun.on {
			return a.runChangeDryRun(cmd.Context(), r, &o.dryRun)
		}
		r.output = o.dryRun.output
		return a.runChange(cmd.Context(), r)
	}
	return cmd
}

// newRequest reads the flags.
func (o *scaleOptions) newRequest(cmd *cobra.Command, cluster string) (changeRequest, error) {
	given := cmd.Flags().Changed
	switch {
	case given("num_nodes") && (given("pool") || given("replicas")):
		return changeRequest{}, usageErrorf("use --num_nodes, or --pool with --replicas, not both")
	case !given("num_nodes") && !(given("pool") && given("replicas")):
		return changeRequest{}, usageErrorf("use --num_nodes N, or --pool POOL with --replicas N")
	}
	if err := o.dryRun.checkCombination(cmd); err != nil {
		return changeRequest{}, err
	}
	if given("num_nodes") {
		return o.newWholeRequest(cluster)
	}
	return o.newPoolRequest(cluster)
}

func (o *scaleOptions) newWholeRequest(cluster string) (changeRequest, error) {
	n, err := api.ParseCount("num_nodes", o.numNodes)
	if err == nil && n < 1 {
		err = &api.FieldError{Field: "num_nodes", Value: o.numNodes,
			Want: "a whole number of machines from 1 (the head alone)"}
	}
	size := func(c *api.Cluster) string { return render.FormatCount(c.Spec.MachineCount(), "machine") }
	return changeRequest{
		changeFlags: o.changeFlags, cluster: cluster, title: "Scaling cluster " + cluster,
		change: func(c *api.Cluster) error { return c.Spec.ScaleTo(n) },
		recorded: func(c *api.Cluster) string {
			return fmt.Sprintf("Cluster %s is being scaled to %s.", cluster, size(c))
		},
		same: func(c *api.Cluster) string {
			return fmt.Sprintf("Cluster %s was already to have %s.", cluster, size(c))
		},
		goal: func(c *api.Cluster) client.Goal { return newPoolSizeGoal("at "+size(c), api.DefaultPool) },
		reached: func(c *api.Cluster) string {
			return fmt.Sprintf("Cluster %s has %s", cluster, size(c))
		},
	}, err
}

func (o *scaleOptions) newPoolRequest(cluster string) (changeRequest, error) {
	if err := api.ValidatePoolName(o.pool); err != nil {
		return changeRequest{}, err
	}
	n, err := api.ParseCount("replicas", o.replicas)
	if err == nil && n < 0 {
		err = &api.FieldError{Field: "replicas", Value: o.replicas, Want: "a whole number of machines from 0"}
	}
	pool, size := o.pool, render.FormatCount(n, "machine")
	return changeRequest{
		changeFlags: o.changeFlags, cluster: cluster, title: "Scaling cluster " + cluster,
		change: func(c *api.Cluster) error {
			if c.Spec.FindPool(pool) == nil {
				return newPoolMissingError(c, pool)
			}
			return c.Spec.ScalePool(pool, n)
		},
		recorded: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s is being scaled to %s.", pool, cluster, size)
		},
		same: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s was already to have %s.", pool, cluster, size)
		},
		goal: func(*api.Cluster) client.Goal { return newPoolSizeGoal("at "+size+" in pool "+pool, pool) },
		reached: func(*api.Cluster) string {
			return fmt.Sprintf("Pool %s of cluster %s has %s", pool, cluster, size)
		},
	}, err
}

// newPoolSizeGoal waits until a pool has as many machines as it should have, all Ready, and none that leaves.
func newPoolSizeGoal(name, pool string) client.Goal {
	return client.Goal{Name: name, IsReached: func(c *api.Cluster) bool {
		size := 0
		for _, m := range c.Status.Machines {
			if m.PoolName() != pool {
				continue
			}
			if m.Leaving != "" || m.State != api.MachineReady {
				return false
			}
			size++
		}
		p := c.Spec.FindPool(pool)
		return p == nil && size == 0 || p != nil && size == p.Replicas
	}}
}
