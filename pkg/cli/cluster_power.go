package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
)

// powerOptions are what stop cluster and start cluster have in common.
type powerOptions struct {
	*app
	wait     bool
	timeout  waitTimeoutValue
	selector *selectorValue
	output   *outputFlags
	// where names the installation in questions and results with --all; see describeAllOf.
	where string
}

// bindFlags adds the flags and the names of clusters; --wait waits until something.
func (o *powerOptions) bindFlags(cmd *cobra.Command, until string) {
	o.selector = o.addSelectionFlags(cmd, "clusters")
	cmd.Args = o.selector.requireNames
	cmd.Flags().BoolVar(&o.wait, "wait", false, "show the progress until "+until+"; Ctrl-C stops only the display")
	o.timeout.bindFlag(cmd)
	o.output = addChangedOutputFlags(cmd)
}

// powerSteps is what stop or start does with clusters.
type powerSteps struct {
	// confirm asks once for several clusters; nil asks nothing.
	confirm func(ctx context.Context, ops *client.Client, names []string) error
	// begin requests it for one cluster.
	begin func(ctx context.Context, ops *client.Client, name string) (*api.Cluster, error)
	// await waits for its end.
	await func(ctx context.Context, ops *client.Client, begun *api.Cluster) error
}

// run carries out the steps for the clusters that are named or selected. If one of several that are named does not
// exist, nothing is begun.
func (o *powerOptions) run(ctx context.Context, names []string, steps powerSteps) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	isList := o.selector.isSet() || len(names) > 1
	where, err := o.describeAllOf(o.selector)
	if err != nil {
		return err
	}
	o.where = where
	if names, err = o.resolveNames(ctx, o.selector, names); err != nil || len(names) == 0 {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		if err := o.confirmExisting(ctx, ops, names, steps); err != nil {
			return err
		}
	}
	var await func(context.Context, *api.Cluster) error
	if o.wait {
		await = func(ctx context.Context, c *api.Cluster) error {
			return steps.await(ctx, ops, c)
		}
	}
	changed, err := o.runThenAwait(ctx, names, func(ctx context.Context, name string) (*api.Cluster, error) {
		return steps.begin(ctx, ops, name)
	}, await)
	return errors.Join(err, o.writeChanged(ctx, ops, o.output,
		changedClusters{clusters: changed, isList: isList, waited: o.wait}))
}

// confirmExisting asks for several clusters, all of which have to exist.
func (o *powerOptions) confirmExisting(ctx context.Context, ops *client.Client, names []string,
	steps powerSteps) error {
	s, err := ops.ConnectStore(ctx)
	if err == nil {
		err = requireExisting(ctx, s, names)
	}
	if err != nil || steps.confirm == nil {
		return err
	}
	return steps.confirm(ctx, ops, names)
}
