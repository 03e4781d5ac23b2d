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
)

// deleteSnapshotOptions is one run of delete snapshot.
type deleteSnapshotOptions struct {
	*app
	cluster string
	yes     bool
	output  *outputFlags
}

func (a *app) newDeleteSnapshotCommand() *cobra.Command {
	o := &deleteSnapshotOptions{app: a}
	cmd := &cobra.Command{
		Use:     "snapshot NAME... --cluster CLUSTER",
		Aliases: listAliases("snapshot"),
		Short:   "Delete snapshots wherever they are kept",
		Long: `Deletes snapshots from the machine and from where skyd keeps them. They cannot be recovered. A snapshot
that a stopped cluster is started from, or that a cluster is being restored from, cannot be deleted.
If one of the names does not exist, the command deletes none.`,
		Example: `  skyctl delete snapshot before-migration --cluster prod
  skyctl delete snapshots first second --cluster prod --yes`,
		Args:              requireSnapshotNames,
		ValidArgsFunction: a.completeSnapshotNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireClusterFlag(cmd, o.cluster); err != nil {
				return err
			}
			return o.run(cmd.Context(), args)
		},
	}
	a.bindSnapshotCluster(cmd, &o.cluster)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	o.output = addDeletedOutputFlags(cmd, "snapshot")
	return cmd
}

// requireSnapshotNames accepts the names of snapshots.
func requireSnapshotNames(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("missing the name of a snapshot: %s NAME... --cluster CLUSTER", cmd.CommandPath())
	}
	var errs []error
	for i, name := range args {
		if slices.Contains(args[:i], name) {
			errs = append(errs, usageErrorf("snapshot %s is named twice", name))
			continue
		}
		errs = append(errs, validateSnapshotArg(name))
	}
	return errors.Join(errs...)
}

func (o *deleteSnapshotOptions) run(ctx context.Context, names []string) error {
	if !o.yes && !terminal.IsTerminal(o.env.In) {
		return usageErrorf("deleting snapshot %s needs confirmation, and there is no terminal: use --yes",
			strings.Join(names, ", "))
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	var targets []api.Snapshot
	var errs []error
	for _, name := range names {
		s, err := ops.FindSnapshot(ctx, o.cluster, name)
		targets, errs = append(targets, s), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !o.yes {
		for _, s := range targets {
			fmt.Fprintf(o.env.Err, "  %s\n", render.DescribeSnapshot(s, o.env.Now()))
		}
		question := fmt.Sprintf("Delete %s of cluster %s? It cannot be undone.",
			render.FormatCount(len(targets), "snapshot"), o.cluster)
		if err := o.requireConfirmation(ctx, question, "deleted"); err != nil {
			return err
		}
	}
	byName := map[string]api.Snapshot{}
	for _, s := range targets {
		byName[s.Name] = s
	}
	if len(names) == 1 {
		return o.deleteSnapshot(ctx, ops, targets[0])
	}
	return o.runForEach(ctx, names, func(ctx context.Context, name string) error {
		return o.deleteSnapshot(ctx, ops, byName[name])
	})
}

// deleteSnapshot deletes one snapshot, and waits until it is gone.
func (o *deleteSnapshotOptions) deleteSnapshot(ctx context.Context, ops *client.Client, s api.Snapshot) error {
	return o.awaitSnapshot("Deleting snapshot "+s.Name, s, func(sp *terminal.Spinner) error {
		asked, err := ops.DeleteSnapshot(ctx, s)
		if isMissingSnapshot(err) { // somebody else was faster
			err = nil
		} else if err == nil {
			err = ops.AwaitSnapshotDeleted(ctx, asked.Snapshot, 0, sp.PrintNote)
		}
		if err != nil {
			return err
		}
		sp.KeepLine()
		return errors.Join(o.writeDeleted(o.output, "Snapshot", s.Name),
			o.printResult("Deleted snapshot %s of cluster %s.\n", s.Name, s.Cluster))
	})
}
