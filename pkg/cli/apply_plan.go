package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// planDocuments says what an apply of documents does. editOf is the text with which an edit began; empty is an apply.
func (a *app) planDocuments(ctx context.Context, ops *client.Client, s *terminal.Spinner, docs []manifest.Document,
	editOf string) ([]client.ApplyPlan, error) {
	told := false
	plans, err := ops.PlanApply(ctx, docs, client.PlanOptions{
		CompleteNew: a.cfg.ApplyToCluster, EditOf: editOf,
		Accept: func(w *operation.WorkerInfo) error {
			if a.cfg.IsExternal() && !told {
				told = true
				s.KeepLine()
				if err := a.checkWorkerCompatibility(a.cfg, w); err != nil {
					return err
				}
			}
			return a.requireWorkerWithPools()
		},
	})
	if err != nil {
		return plans, err
	}
	return plans, a.requireWorkerForCreates(plans)
}

// requireWorkerForCreates refuses a worker whose settings would make other clusters than the files say.
func (a *app) requireWorkerForCreates(plans []client.ApplyPlan) error {
	var errs []error
	for _, p := range plans {
		if p.Kind != client.ApplyCreate || a.worker == nil {
			continue
		}
		for _, group := range p.After.Spec.PlacementGroups() {
			errs = append(errs, a.requireCapableWorker(group.GroupSpec, nil))
		}
	}
	return errors.Join(errs...)
}

// printPlanWarnings prints on stderr what may do harm to new clusters.
func (a *app) printPlanWarnings(plans []client.ApplyPlan) {
	for _, p := range plans {
		for _, w := range p.Warnings {
			terminal.WriteNote(a.env.Err, fmt.Sprintf("Warning: cluster %s: %s", p.Name, w.String()))
		}
	}
}

// toPlanPage is a plan as it is printed.
func toPlanPage(plans []client.ApplyPlan) render.ApplyPlan {
	var clusters []render.ClusterChange
	for _, p := range plans {
		c := render.ClusterChange{Name: p.Name, Action: string(p.Kind), Fields: []render.FieldChange{},
			PriceBefore: p.PriceBefore, PriceAfter: p.PriceAfter}
		for _, d := range p.Differences {
			f := render.NewFieldChange(d.FieldDifference)
			f.ChangedSince, f.LastApplied = d.ChangedSince, d.LastApplied
			c.Fields = append(c.Fields, f)
		}
		if p.Kind == client.ApplyCreate {
			c = c.WithOverhead(p.After.Spec)
		}
		clusters = append(clusters, c.WithSteps(p.Steps))
	}
	return render.NewApplyPlan(clusters)
}

// isRefused reports whether a plan has a field that cannot change.
func isRefused(p client.ApplyPlan) bool {
	if p.Kind != client.ApplyChange {
		return false
	}
	for _, d := range p.Differences {
		if d.Change.Way == api.ChangeNever {
			return true
		}
	}
	return false
}
