package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetMachinesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "machines [CLUSTER|MACHINE...]",
		Aliases: listAliases("machines"),
		Short:   "List the machines of clusters",
		Long: `Lists the machines of the clusters you name, or of all: the head and the workers of all pools. You can
also name single machines. STATE says how far a machine has come, and in parentheses why it leaves
the cluster or that it is to be replaced.`,
		Example: `  skyctl get machines dev
  skyctl get machines
  skyctl get machine sky-dev-1 -o jsonpath='{.address}'`,
		Args:              func(_ *cobra.Command, args []string) error { return checkPartNames(args) },
		ValidArgsFunction: a.completeMoreClustersAndMachines,
	}
	output := addListOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return showParts(cmd.Context(), a, output, partsView[api.Machine]{title: "Fetching machines", kind: "Machine",
			items: render.ListMachines, list: func(items []api.Machine) any { return render.NewMachineList(items) },
			table: func(clusters []api.Cluster) *render.Table { return render.NewMachineTable(clusters, a.env.Now()) },
		}, func(ctx context.Context, s *store.Store) ([]api.Cluster, bool, error) {
			return readMachinesNamed(ctx, s, args)
		})
	}
	return cmd
}

func (a *app) newReplaceCommand() *cobra.Command {
	return newCommandGroup("replace", "Replace a machine of a cluster",
		"Replaces a machine of a cluster: see skyctl replace machine --help.",
		"  skyctl replace machine sky-dev-3", a.newReplaceMachineCommand())
}

func (a *app) newReplaceMachineCommand() *cobra.Command {
	cmd := a.newMachineChangeCommand("the new machine is Ready", "", newReplaceMachineRequest)
	cmd.Short = "Drain a worker, terminate its machine, and launch a new one"
	cmd.Long = `Replaces a worker: it is cordoned and drained as in scale cluster, its machine is terminated, and a
new one is launched with the same name, in the same pool. The pool's max_unavailable bounds how many
of its machines are replaced at the same time; others wait. The only server of a cluster cannot be
replaced, because it has the cluster's state.`
	cmd.Example = "  skyctl replace machine sky-dev-3\n  skyctl replace machine sky-dev-3 --wait\n" +
		"  skyctl replace machine sky-dev-3 --wait -o jsonpath='{.address}'"
	return cmd
}

func (a *app) newDeleteMachineCommand() *cobra.Command {
	cmd := a.newMachineChangeCommand("the machine is gone", "machine", newDeleteMachineRequest)
	cmd.Short = "Scale a pool down by exactly this machine"
	cmd.Long = `Removes a worker, and makes its pool smaller by one: it is cordoned and drained as in scale cluster,
then its machine is terminated. Its name is never used again. The only server of a cluster cannot
be deleted; to get a new machine instead, use skyctl replace machine.`
	cmd.Example = "  skyctl delete machine sky-dev-3\n  skyctl delete machine sky-dev-3 --wait"
	return cmd
}

// newMachineChangeCommand returns a command that changes one machine; its texts are the caller's. deletes is "machine"
// if it is gone afterwards, else empty.
func (a *app) newMachineChangeCommand(until, deletes string,
	newRequest func(f changeFlags, cluster, machine string, incarnation *string) changeRequest) *cobra.Command {
	f, dryRun := &changeFlags{}, &dryRunFlags{deletes: deletes}
	var cluster, before string
	cmd := &cobra.Command{
		Use:               "machine NAME",
		Aliases:           listAliases("machine"),
		Args:              requireMachineName,
		ValidArgsFunction: a.completeMachineNames,
	}
	a.bindClusterFlag(cmd, &cluster, "cluster of the machine (default: the name says it)")
	f.bindFlags(cmd, until)
	dryRun.bindFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := dryRun.checkCombination(cmd); err != nil {
			return err
		}
		of, _, _ := api.ParseMachineName(args[0])
		if cmd.Flags().Changed("cluster") && cluster != of {
			return &api.FieldError{Field: "cluster", Value: cluster,
				Want: fmt.Sprintf("%s, the cluster of machine %s; --cluster can be left out", of, args[0])}
		}
		r := newRequest(*f, of, args[0], &before)
		if dryRun.on {
			return a.runChangeDryRun(cmd.Context(), r, dryRun)
		}
		r.output, r.part = dryRun.output, &changedPart{kind: "Machine", name: args[0]}
		if deletes == "" {
			r.part.find = func(c *api.Cluster) any { return findMachineView(c, args[0]) }
		}
		return a.runChange(cmd.Context(), r)
	}
	return cmd
}

// findMachineView returns a machine as get machine shows it; nil if the cluster has none of that name.
func findMachineView(c *api.Cluster, name string) any {
	if m := c.FindMachine(name); m != nil {
		return *m
	}
	return nil
}

// checkMachineExists returns an error if the cluster has no such machine; else it notes its incarnation.
func checkMachineExists(c *api.Cluster, machine string, incarnation *string) error {
	m := c.FindMachine(machine)
	if m == nil {
		return &store.NotFoundError{Cluster: c.Metadata.Name, What: "machine " + machine}
	}
	*incarnation = m.Incarnation
	return nil
}

func newReplaceMachineRequest(f changeFlags, cluster, machine string, incarnation *string) changeRequest {
	return changeRequest{
		changeFlags: f, cluster: cluster, title: "Replacing machine " + machine,
		change: func(c *api.Cluster) error {
			if err := checkMachineExists(c, machine, incarnation); err != nil {
				return err
			}
			return c.ReplaceMachine(machine)
		},
		recorded: func(*api.Cluster) string { return fmt.Sprintf("Machine %s is being replaced.", machine) },
		same:     func(*api.Cluster) string { return fmt.Sprintf("Machine %s is already being replaced.", machine) },
		goal: func(*api.Cluster) client.Goal {
			return client.Goal{Name: "done with the replacement of " + machine, IsReached: func(c *api.Cluster) bool {
				m := c.FindMachine(machine)
				return m == nil || m.Incarnation != *incarnation && m.State == api.MachineReady
			}}
		},
		reached: func(c *api.Cluster) string {
			if c.FindMachine(machine) == nil {
				return fmt.Sprintf("Machine %s was removed instead of replaced", machine)
			}
			return "Replaced machine " + machine
		},
	}
}

func newDeleteMachineRequest(f changeFlags, cluster, machine string, incarnation *string) changeRequest {
	return changeRequest{
		changeFlags: f, cluster: cluster, title: "Deleting machine " + machine,
		change: func(c *api.Cluster) error {
			if err := checkMachineExists(c, machine, incarnation); err != nil {
				return err
			}
			return c.DeleteMachine(machine)
		},
		recorded: func(*api.Cluster) string { return fmt.Sprintf("Machine %s is being deleted.", machine) },
		same:     func(*api.Cluster) string { return fmt.Sprintf("Machine %s is already being deleted.", machine) },
		goal: func(*api.Cluster) client.Goal {
			return client.Goal{Name: "without machine " + machine, IsReached: func(c *api.Cluster) bool {
				return c.FindMachine(machine) == nil
			}}
		},
		reached: func(*api.Cluster) string { return "Deleted machine " + machine },
	}
}
