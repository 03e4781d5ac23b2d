package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newLabelCommand() *cobra.Command {
	return newCommandGroup("label", "Set and remove labels of clusters",
		"Sets and removes labels of clusters: see skyctl label cluster --help.",
		"  skyctl label cluster dev team=vision owner-", a.newLabelClusterCommand())
}

// labelOptions is one run of label cluster.
type labelOptions struct {
	*app
	changeFlags
	selector          *selectorValue
	overwrite, dryRun bool
	output            *outputFlags
	// labels is what is set and removed.
	labels api.LabelChange
}

func (a *app) newLabelClusterCommand() *cobra.Command {
	o := &labelOptions{app: a}
	cmd := &cobra.Command{
		Use:     "cluster (NAME... | -l SELECTOR | --all) KEY=VALUE... KEY-...",
		Aliases: listAliases("cluster"),
		Short:   "Set and remove labels of clusters",
		Long: `Sets labels of clusters (KEY=VALUE) and removes them (KEY-), several at once. A key that has another
value needs --overwrite. If one of the clusters cannot get the labels, none is changed.

The nodes of a cluster get its labels too, also those that join later, and lose the ones that are
removed. On the nodes of a pool, a label of the pool overrides that of the cluster with the same key.
Keys in the domains of Kubernetes, RKE2 and skyctl stay on the cluster object only; the command
prints a note.

The command returns once the change is recorded; --wait waits until the nodes have the labels.`,
		Example: `  skyctl label cluster dev team=vision owner-
  skyctl label cluster dev team=search --overwrite --wait

  # all clusters of a team, or all clusters
  skyctl label clusters -l team=vision env=test
  skyctl label clusters --all cost-center=42 --dry-run

  # for scripts: the cluster with its labels
  skyctl label cluster dev team=vision -o jsonpath='{.metadata.labels}'`,
		ValidArgsFunction: a.completeClustersBeforeLabels,
	}
	o.selector = a.addSelectionFlags(cmd, "clusters")
	cmd.Flags().BoolVar(&o.overwrite, "overwrite", false, "change labels that have another value")
	bindDryRun(cmd, &o.dryRun, "only show what would change")
	o.output = addChangedOutputFlags(cmd)
	o.bindFlags(cmd, "the nodes have the labels")
	var names []string
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		names, err = o.readArgs(cmd, args)
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), names) }
	return cmd
}

// readArgs separates the names of clusters from the labels, which follow.
func (o *labelOptions) readArgs(cmd *cobra.Command, args []string) (names []string, err error) {
	first := slices.IndexFunc(args, api.IsLabelArgument)
	if first < 0 {
		return nil, usageErrorf("missing the labels: %s %s", cmd.Parent().CommandPath(), cmd.Use)
	}
	names = args[:first]
	if o.dryRun && (o.wait || o.timeout.value > 0) {
		return nil, usageErrorf("--wait and --timeout cannot be used with --dry-run")
	}
	if err := errors.Join(o.timeout.refuseWithoutWait(o.wait), o.selector.refuseWithNames(names)); err != nil {
		return nil, err
	}
	o.labels, err = api.ParseLabelChange(args[first:])
	return names, errors.Join(err, o.selector.requireNames(cmd, names))
}

func (o *labelOptions) run(ctx context.Context, names []string) error {
	isList := o.selector.isSet() || len(names) > 1
	names, err := o.resolveNames(ctx, o.selector, names)
	if err != nil || len(names) == 0 {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	if len(names) > 1 || o.dryRun {
		if err := o.checkAll(ctx, ops, names, isList); err != nil || o.dryRun {
			return err
		}
	}
	defer o.noteKeysWithoutNodes()
	var await func(context.Context, *api.Cluster) error
	if o.wait {
		await = func(ctx context.Context, c *api.Cluster) error {
			return o.awaitChange(ctx, ops, o.newRequest(c.Metadata.Name), c)
		}
	}
	changed, err := o.runThenAwait(ctx, names, func(ctx context.Context, name string) (*api.Cluster, error) {
		return o.recordChange(ctx, ops, o.newRequest(name))
	}, await)
	return errors.Join(err, o.writeChanged(ctx, ops, o.output,
		changedClusters{clusters: changed, isList: isList, waited: o.wait}))
}

// checkAll tries the change on every cluster before one is written. A dry run prints what would change.
func (o *labelOptions) checkAll(ctx context.Context, ops *client.Client, names []string, isList bool) error {
	var errs []error
	var lines []string
	tried := changedClusters{isList: isList}
	for _, name := range names {
		before, after, err := o.readForChange(ctx, ops, o.newRequest(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster %s: %w", name, err))
			continue
		}
		lines = append(lines, o.describeResult(name, before.Metadata.Labels, after.Metadata.Labels))
		tried.clusters = append(tried.clusters, after)
	}
	if err := errors.Join(errs...); err != nil || !o.dryRun {
		return err
	}
	for _, line := range lines {
		if err := o.printResult("%s (dry run)\n", line); err != nil {
			return err
		}
	}
	o.noteKeysWithoutNodes()
	return o.writeChanged(ctx, ops, o.output, tried)
}

func (o *labelOptions) describeResult(name string, before, after map[string]string) string {
	if text := api.DescribeLabelChange(before, after); text != "" {
		return fmt.Sprintf("Labeled cluster %s: %s.", name, printable.Line(text))
	}
	return fmt.Sprintf("Cluster %s not labeled: there is nothing to change.", name)
}

func (o *labelOptions) newRequest(name string) changeRequest {
	var before map[string]string
	describe := func(c *api.Cluster) string { return o.describeResult(name, before, c.Metadata.Labels) }
	return changeRequest{
		changeFlags: o.changeFlags, cluster: name, title: "Labeling cluster " + name,
		change: func(c *api.Cluster) error {
			before = c.Metadata.Labels
			labels, err := o.labels.ApplyTo(before, o.overwrite)
			if err != nil || maps.Equal(labels, before) {
				return err
			}
			return c.ChangeTo(c.Spec, labels, o.env.Now())
		},
		recorded: describe, same: describe,
		goal:    func(*api.Cluster) client.Goal { return client.Goal{Name: "done with the labels of its nodes"} },
		reached: func(*api.Cluster) string { return fmt.Sprintf("The nodes of cluster %s have the labels", name) },
	}
}

// noteKeysWithoutNodes names the keys that people may not set on Nodes.
func (o *labelOptions) noteKeysWithoutNodes() {
	for _, key := range slices.Sorted(maps.Keys(o.labels.Set)) {
		if owner := api.LabelKeyOwner(key); owner != "" {
			o.printNote(fmt.Sprintf("the nodes do not get label %s: keys of this domain belong to %s", key, owner))
		}
	}
}
