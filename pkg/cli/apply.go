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

// applyOptions is one run of apply.
type applyOptions struct {
	changeFlags
	files  fileFlags
	dryRun dryRunFlags
	prune  pruneOptions
}

func (a *app) newApplyCommand() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create and change clusters as files say",
		Long: `Creates the clusters of the files that do not exist, and changes the others to what the files say.
All files are checked before anything is changed; skyctl diff shows the same plan without changing
anything.

A field that a file sets wins. A field that the last apply set and that the file no longer has goes
back to its default. Fields that no file has set stay as other commands have left them.

apply asks before it ends or replaces machines. Without a terminal it then needs --yes, and
otherwise changes nothing. If somebody else changes a cluster at the same time, apply says which
fields, and leaves that cluster alone (exit code 3).

` + pruneHelp + `
` + pruneConfirmHelp + `

The command returns once the changes are recorded; they are carried out even if you close this
terminal. After an interruption, run the same apply again.`,
		Example: `  # create or change the clusters of a file
  skyctl apply -f dev.yaml

  # all files of a directory; wait until the clusters are as the files say
  skyctl apply -f clusters/ --yes --wait

  # from a program, or from the web
  generate-clusters | skyctl apply -f -
  skyctl apply -f https://example.com/clusters/dev.yaml

  # for scripts: the names of the clusters, or the clusters once they are as the files say
  skyctl apply -f clusters/ --yes -o name
  skyctl apply -f dev.yaml --yes --wait -o json

  # only show the steps and prices
  skyctl apply -f dev.yaml --dry-run

  # delete the clusters of the team that the files no longer have
  skyctl apply -f clusters/ --prune --selector team=vision
  skyctl apply -f clusters/ --prune --selector team=vision --yes --prune-count 2`,
		Args: refuseArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.dryRun.checkCombination(cmd); err != nil {
				return err
			}
			if err := o.prune.checkFlags(); err != nil {
				return err
			}
			return a.runApply(cmd.Context(), o)
		},
	}
	o.files.bindFlags(cmd)
	o.bindFlags(cmd, "the clusters are as the files say")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask before machines are ended or replaced")
	o.dryRun.bindFlags(cmd)
	o.prune.bindFlags(a, cmd)
	o.prune.bindCountFlag(cmd)
	sectionFiles.add(cmd, "filename", "recursive")
	sectionPrune.add(cmd, "prune", "selector", "prune-count")
	return cmd
}

func (a *app) runApply(ctx context.Context, o *applyOptions) error {
	if err := o.timeout.refuseWithoutWait(o.wait); err != nil {
		return err
	}
	docs, err := a.readDocuments(ctx, &o.files)
	if err != nil {
		return err
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	var results []client.ApplyResult
	var pruned []api.Cluster
	title, quiet := "Applying "+o.files.describe(), o.dryRun.on && o.dryRun.output.isStructured()
	if o.dryRun.on {
		title = "Planning " + o.files.describe()
	}
	err = a.runWithSpinner(title, quiet, func(s *terminal.Spinner) error {
		plans, err := a.planDocuments(ctx, ops, s, docs, "")
		if err != nil {
			return err
		}
		if pruned, err = a.findPruned(ctx, ops, &o.prune, plans); err != nil {
			return err
		}
		s.KeepLine()
		if o.dryRun.on {
			return a.writePlans(plans, &o.prune, pruned, o.dryRun.output)
		}
		results, err = a.applyPlans(ctx, ops, plans, o.changeFlags, func() error {
			return a.confirmPrune(ctx, &o.prune, o.yes, pruned)
		})
		return err
	})
	if err == nil && !o.dryRun.on { // a prune follows a complete apply only
		err = a.carryOutPrune(ctx, ops, pruned, o.changeFlags)
	}
	err = errors.Join(err, a.wantMergeOfCreated(ctx, results, o.wait))
	applied := changedClusters{isList: len(docs) != 1, waited: o.wait}
	for _, r := range results {
		applied.clusters = append(applied.clusters, r.Cluster)
	}
	if o.wait {
		var late error
		applied.clusters, late = a.awaitApplied(ctx, ops, results, o.changeFlags)
		err = errors.Join(err, late)
	}
	return errors.Join(err, a.writeChanged(ctx, ops, o.dryRun.output, applied))
}

// applyPlans shows the plans, asks where machines end, calls confirmMore, and carries them out. A cluster
// that fails does not hold up the others.
func (a *app) applyPlans(ctx context.Context, ops *client.Client, plans []client.ApplyPlan, flags changeFlags,
	confirmMore func() error) ([]client.ApplyResult, error) {
	changing := slices.DeleteFunc(slices.Clone(plans), func(p client.ApplyPlan) bool {
		return p.Kind == client.ApplySame
	})
	if len(changing) > 0 {
		if err := terminal.WritePage(a.env.Err, toPlanPage(changing).String()); err != nil {
			return nil, err
		}
	}
	a.printPlanWarnings(plans)
	if err := a.confirmPlans(ctx, plans, flags); err != nil {
		return nil, err
	}
	if confirmMore != nil {
		if err := confirmMore(); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(plans, func(p client.ApplyPlan) bool { return p.Kind == client.ApplyCreate }) {
		if err := requireDiskToCreate(a.cfg); err != nil {
			return nil, err
		}
	}
	var results []client.ApplyResult
	var errs []error
	for _, p := range plans {
		result, err := ops.Apply(ctx, p)
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break // the rest is for the next apply
			}
			continue
		}
		if result.Kind == client.ApplyChange || result.Unstarted != nil {
			a.noteWhatDelays(result.ChangeResult)
		}
		results = append(results, result)
		if err := a.printResult("cluster/%s %s\n", p.Name, describeApplied(result)); err != nil {
			return results, err
		}
	}
	return results, errors.Join(errs...)
}

// describeApplied is the word for what an apply did.
func describeApplied(r client.ApplyResult) string {
	switch r.Kind {
	case client.ApplyCreate:
		return "created"
	case client.ApplyResume:
		return "resumed"
	case client.ApplyChange:
		return "configured"
	}
	return "unchanged"
}

// confirmPlans asks once before machines end or are replaced.
func (a *app) confirmPlans(ctx context.Context, plans []client.ApplyPlan, flags changeFlags) error {
	var parts []string
	for _, p := range plans {
		if p.EndsMachines() {
			parts = append(parts, describeEnds(p))
		}
	}
	if len(parts) == 0 || flags.yes {
		return nil
	}
	question := strings.Join(parts, "; ") + "?"
	question = strings.ToUpper(question[:1]) + question[1:]
	if !terminal.IsTerminal(a.env.In) {
		return usageErrorf("there is no terminal to answer the question %q, so use --yes; nothing was changed",
			question)
	}
	return a.requireConfirmation(ctx, question, "changed")
}

// describeEnds says how many machines of a cluster end.
func describeEnds(p client.ApplyPlan) string {
	count := map[api.ActionKind]int{}
	for _, s := range p.Steps {
		count[s.Kind] += s.Count
	}
	var parts []string
	if n := count[api.ActionRemove]; n > 0 {
		parts = append(parts, "end "+render.FormatCount(n, "machine"))
	}
	if n := count[api.ActionReplace]; n > 0 {
		parts = append(parts, "replace "+render.FormatCount(n, "machine"))
	}
	return strings.Join(parts, " and ") + " of cluster " + p.Name
}

// wantMergeOfCreated lets new clusters be merged into the person's own kubeconfig, if the settings say so.
func (a *app) wantMergeOfCreated(ctx context.Context, results []client.ApplyResult, waits bool) error {
	var errs []error
	for _, r := range results {
		if r.Kind == client.ApplyCreate && a.cfg.Kubeconfig.Merge {
			errs = append(errs, a.wantMerge(ctx, r.Cluster.Ref(), waits))
		}
	}
	return errors.Join(errs...)
}

// awaitApplied waits for the clusters one after the other; their operations run at the same time. It returns those
// that are as their files say.
func (a *app) awaitApplied(ctx context.Context, ops *client.Client, results []client.ApplyResult,
	flags changeFlags) ([]*api.Cluster, error) {
	var done []*api.Cluster
	var errs []error
	for _, r := range results {
		c := r.Cluster
		var err error
		switch reached := c.Status.ObservedGeneration >= c.Metadata.Generation; {
		case ctx.Err() != nil:
		case r.Kind == client.ApplyCreate, r.Kind == client.ApplyResume:
			err = a.awaitClusterReady(ctx, ops, c, flags.timeout.value)
		case !reached || r.Changed:
			err = a.awaitChange(ctx, ops, changeRequest{changeFlags: flags, cluster: c.Metadata.Name,
				goal: func(*api.Cluster) client.Goal { return client.Goal{Name: "as its file says"} },
				reached: func(*api.Cluster) string {
					return fmt.Sprintf("Cluster %s is as its file says", c.Metadata.Name)
				}}, c)
		}
		errs = append(errs, err)
		if err == nil && ctx.Err() == nil {
			done = append(done, c)
		}
	}
	return done, errors.Join(errs...)
}
