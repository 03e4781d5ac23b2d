package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

// pruneHelp is the part of the help of apply and diff about prunes.
const pruneHelp = `--prune --selector SELECTOR also deletes clusters that the files no longer have: those that an apply
created, and whose labels match. It never deletes a cluster that was created in another way.
Each cluster in the files has to match the selector, else a later prune would delete it.`

// pruneConfirmHelp says how a prune is confirmed.
const pruneConfirmHelp = `Before anything is written, the clusters to delete are listed with their machines and
prices, and you type how many they are. Without a terminal, a prune needs --yes and --prune-count
with that number.`

// pruneOptions are the flags of a prune.
type pruneOptions struct {
	on       bool
	selector *selectorValue
	count    string // empty: not given
}

func (o *pruneOptions) bindFlags(a *app, cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.on, "prune", false, "delete clusters that apply created and that no file has; needs -l")
	o.selector = a.addSelectorFlag(cmd, "prune clusters")
}

// bindCountFlag adds the flag that confirms a prune where there is no terminal.
func (o *pruneOptions) bindCountFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.count, "prune-count", "", "with --yes: the number of clusters that --prune deletes")
}

// checkFlags refuses a prune without bounds, and flags that would be ignored.
func (o *pruneOptions) checkFlags() error {
	switch {
	case o.on && !o.selector.isSet():
		return usageErrorf("--prune needs --selector: it deletes clusters, so say which may be deleted, such as " +
			"--prune --selector team=vision")
	case !o.on && o.selector.isSet():
		return usageErrorf("--selector needs --prune")
	case !o.on && o.count != "":
		return usageErrorf("--prune-count needs --prune")
	case o.count != "":
		_, err := api.ParseCount("prune-count", o.count)
		return err
	}
	return nil
}

// checkClusters refuses files without a cluster, and clusters that the selector does not match. wanted are the clusters
// as they are after the apply.
func (o *pruneOptions) checkClusters(wanted []*api.Cluster) error {
	if !o.on {
		return nil
	}
	if len(wanted) == 0 {
		return usageErrorf("the files have no cluster, and --prune would delete every cluster that matches %s; to "+
			"delete them: skyctl delete clusters -l %[1]s", o.selector.text)
	}
	var errs []error
	for _, c := range wanted {
		if !o.selector.matchesCluster(c) {
			errs = append(errs, usageErrorf("cluster %s does not match --selector %s, so the next prune could not "+
				"find it: give it the labels, or use another selector", c.Metadata.Name, o.selector.text))
		}
	}
	return errors.Join(errs...)
}

// findPruned returns the clusters that the prune deletes after an apply of plans. It refuses files that are not for a
// prune with this selector.
func (a *app) findPruned(ctx context.Context, ops *client.Client, o *pruneOptions,
	plans []client.ApplyPlan) ([]api.Cluster, error) {
	if !o.on {
		return nil, nil
	}
	var wanted []*api.Cluster
	for _, p := range plans {
		wanted = append(wanted, p.After)
	}
	if err := o.checkClusters(wanted); err != nil {
		return nil, err
	}
	scope := client.PruneScope{Selector: o.selector.selector}
	for _, c := range wanted {
		scope.Applied = append(scope.Applied, c.Metadata.Name)
	}
	pruned, damaged, err := ops.ListPruned(ctx, scope)
	if len(damaged) > 0 {
		a.printNote("these clusters are never pruned, because their records are damaged: " +
			strings.Join(damaged, ", "))
	}
	return pruned, err
}

// confirmPrune lists the clusters and asks for their number. Its error says that nothing was changed.
func (a *app) confirmPrune(ctx context.Context, o *pruneOptions, yes bool, pruned []api.Cluster) error {
	list := render.NewPruneList(pruned, a.env.Now())
	if o.count != "" && o.count != strconv.Itoa(len(pruned)) {
		return usageErrorf("--prune-count is %s, but %s would be deleted (%s); nothing was changed", o.count,
			render.FormatCount(len(pruned), "cluster"), render.ValueOrDash(list.Names()))
	}
	if !o.on || len(pruned) == 0 {
		return nil
	}
	if _, err := io.WriteString(a.env.Err, list.String()); err != nil {
		return err
	}
	switch {
	case yes && o.count != "":
		return nil
	case !terminal.IsTerminal(a.env.In):
		return usageErrorf("there is no terminal to confirm the prune, so use --yes and --prune-count %d, if all of "+
			"these clusters are to be deleted: %s; nothing was changed", len(pruned), list.Names())
	}
	return a.requireTyped(ctx, fmt.Sprintf("To delete %s, type their number:",
		render.FormatCount(len(pruned), "cluster")), strconv.Itoa(len(pruned)), "changed")
}

// carryOutPrune deletes the clusters as they were seen. One that was changed since is kept, and named in the error.
func (a *app) carryOutPrune(ctx context.Context, ops *client.Client, pruned []api.Cluster, f changeFlags) error {
	d := &deleteOptions{app: a, yes: true, wait: f.wait, timeout: f.timeout, unchanged: true}
	byName, names := map[string]*api.Cluster{}, []string{}
	for i := range pruned {
		names = append(names, pruned[i].Metadata.Name)
		byName[pruned[i].Metadata.Name] = &pruned[i]
	}
	_, err := a.runThenAwait(ctx, names, func(ctx context.Context, name string) (*api.Cluster, error) {
		return byName[name], d.startDeletion(ctx, ops, byName[name])
	}, d.awaitIfWanted(ops))
	return err
}
