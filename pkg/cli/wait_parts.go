package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newWaitMachineCommand() *cobra.Command {
	o := &waitOptions{app: a, subject: waitMachines}
	cmd := &cobra.Command{
		Use:     "machine NAME... --for STATE",
		Aliases: listAliases("machine"),
		Short:   "Wait until machines are in a state",
		Long: `Waits until machines are in a state. --for is condition=Ready, phase=STATE, delete, or
jsonpath='{.PATH}'=VALUE with a field as in skyctl get machine NAME -o json. Exit codes are as with
skyctl wait cluster.`,
		Example: "  skyctl wait machine/sky-dev-2 --for=condition=Ready\n" +
			"  skyctl wait machine sky-dev-1 sky-dev-2 --for=delete --timeout=10m",
		ValidArgsFunction: a.completeMoreMachineNames,
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				return requireMachineName(cmd, names)
			}
			var errs []error
			for _, name := range names {
				errs = append(errs, requireMachineName(cmd, []string{name}))
			}
			return errors.Join(errs...)
		},
	}
	o.bindFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := o.begin(); err != nil {
			return err
		}
		return a.runForEach(cmd.Context(), names, o.waitForMachine)
	}
	return cmd
}

// waitForMachine waits for one machine by following its cluster.
func (o *waitOptions) waitForMachine(ctx context.Context, name string) error {
	cluster, _, _ := api.ParseMachineName(name)
	ops, c, err := o.readForWait(ctx, cluster)
	missing := new(store.NotFoundError)
	if o.goal.isDelete && errors.As(err, &missing) {
		return o.reportMet("Machine", name, nil)
	}
	if err != nil {
		return err
	}
	find := func(c *api.Cluster) *api.Machine {
		i := slices.IndexFunc(c.Status.Machines, func(m api.Machine) bool { return m.Name == name })
		if i < 0 {
			return nil
		}
		return &c.Status.Machines[i]
	}
	gone := error(&client.ClusterDeletedError{Name: cluster})
	if o.goal.isDelete {
		gone = nil
	}
	last, err := o.followState(ctx, ops, c, "machine "+name, gone, func(c *api.Cluster) (bool, error) {
		switch m := find(c); {
		case o.goal.isDelete:
			return m == nil || m.State == api.MachineGone, nil
		case m == nil:
			return false, &store.NotFoundError{Cluster: cluster, What: "machine " + name}
		default:
			return o.goal.isMet(m, string(m.State), nil)
		}
	})
	if err != nil {
		return err
	}
	if last == nil || find(last) == nil {
		return o.reportMet("Machine", name, nil)
	}
	return o.reportMet("Machine", name, find(last))
}

func (a *app) newWaitSnapshotCommand() *cobra.Command {
	o := &waitOptions{app: a, subject: waitSnapshots}
	var cluster string
	cmd := &cobra.Command{
		Use:     "snapshot NAME... --cluster CLUSTER --for STATE",
		Aliases: listAliases("snapshot"),
		Short:   "Wait until snapshots are in a state",
		Long: `Waits until snapshots are in a state. --for is condition=Kept, phase=STATE, delete, or
jsonpath='{.PATH}'=VALUE with a field as in skyctl describe snapshot -o json. Exit codes are as with
skyctl wait cluster.`,
		Example:           "  skyctl wait snapshot/first --cluster dev --for=condition=Kept",
		ValidArgsFunction: a.completeSnapshotNames,
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				return requireSnapshotName(cmd, names)
			}
			var errs []error
			for _, name := range names {
				errs = append(errs, validateSnapshotArg(name))
			}
			return errors.Join(errs...)
		},
	}
	a.bindSnapshotCluster(cmd, &cluster)
	o.bindFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := requireClusterFlag(cmd, cluster); err != nil {
			return err
		}
		if err := o.begin(); err != nil {
			return err
		}
		return a.runForEach(cmd.Context(), names, func(ctx context.Context, name string) error {
			return o.waitForSnapshot(ctx, cluster, name)
		})
	}
	return cmd
}

// waitForSnapshot waits for one snapshot.
func (o *waitOptions) waitForSnapshot(ctx context.Context, cluster, name string) error {
	ops, seen, err := o.readSnapshotFor(ctx, cluster, name)
	if o.goal.isDelete && isMissingSnapshot(err) {
		return o.reportMet("Snapshot", name, nil)
	}
	if err != nil {
		return err
	}
	judge := func(s api.Snapshot) (bool, error) { return o.goal.isMet(s, string(s.State), nil) }
	met, err := judge(seen)
	if err != nil {
		return err
	}
	if left := o.deadline.Sub(o.env.Now()); !met && left <= 0 {
		return newWaitLimitError("snapshot "+name, o.goal, o.limit.value)
	} else if !met {
		err = o.awaitSnapshot("Waiting for snapshot "+name, seen, func(s *terminal.Spinner) (err error) {
			seen, err = ops.AwaitSnapshotState(ctx, seen, o.goal.describe(), !o.goal.isDelete, left, s.PrintNote, judge)
			if err != nil {
				return fmt.Errorf("waiting for --for=%s: %w", o.goal.text, err)
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	if o.goal.isDelete {
		return o.reportMet("Snapshot", name, nil)
	}
	return o.reportMet("Snapshot", name, seen)
}
