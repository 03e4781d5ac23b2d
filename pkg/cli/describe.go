package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

func (a *app) newDescribeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: listAliases("cluster"),
		Short:   "Show the details of a cluster",
		Long: `Shows the details of a cluster: its spec, phase and transitions, its machines and their current
steps, its cost, its snapshots, its drift and repairs, recent events, the failure, and the next commands to try.`,
		Example: `  skyctl describe cluster dev
  skyctl describe cluster dev -o yaml`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	o := &describeOptions{app: a, output: addOutputFlags(cmd)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) }
	return newCommandGroup("describe", "Show the details of a cluster or a snapshot",
		"Shows the details of a cluster or a snapshot: see skyctl describe cluster --help.",
		"  skyctl describe cluster dev\n  skyctl describe snapshot before-migration --cluster dev", cmd,
		a.newDescribeSnapshotCommand())
}

// describeOptions is one run of describe cluster.
type describeOptions struct {
	*app
	output *outputFlags
}

func (o *describeOptions) run(ctx context.Context, name string) error {
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	c, damage, err := s.SalvageCluster(ctx, name)
	if err != nil {
		return err
	}
	o.warnHomeDoubt(ctx, ops)
	var wrong error
	var recorded api.Phase
	if damage != nil {
		wrong = &damagedError{name: name, why: damage}
		recorded = c.Status.Phase
		render.MarkDamaged(c)
	}
	if o.output.isStructured() {
		return errors.Join(o.output.write(o.env.Out, c), wrong)
	}
	d := render.ClusterPage{Cluster: c, Recorded: recorded, OperationURL: ops.OperationURL(name), Now: o.env.Now(),
		External: o.cfg.IsExternal()}
	if path := o.cfg.KubeconfigPath(name); fileExists(path) {
		d.KubeconfigPath = path
	}
	if d.Events, err = ops.ListEvents(ctx, name); err != nil && damage == nil {
		return err
	}
	d.Snapshots = o.listSnapshotsOf(ctx, c.Ref())
	err = terminal.WritePage(o.env.Out, d.String())
	o.noteStaleSweeps(ctx, ops, []api.Cluster{*c})
	return errors.Join(err, wrong)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
