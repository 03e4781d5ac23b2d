package cli

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// runChangeDryRun shows what a change would do, as the planner that carries it out decides it.
func (a *app) runChangeDryRun(ctx context.Context, r changeRequest, d *dryRunFlags) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	return a.runWithSpinner("Planning", d.output.isStructured(), func(s *terminal.Spinner) error {
		before, after, err := a.readForChange(ctx, ops, r)
		if err != nil {
			return err
		}
		placements, err := a.planChange(ctx, ops, s, r, after)
		if err != nil {
			return err
		}
		prices, err := findPoolPrices(ctx, ops, before, after, map[string][]api.Placement{r.newPool: placements})
		if err != nil {
			return err
		}
		s.KeepLine()
		result := render.NewChangePlan(before, after, prices)
		if d.output.isStructured() {
			return render.WriteStructured(a.env.Out, d.output.form(), result)
		}
		_, err = io.WriteString(a.env.Out, result.String())
		return err
	})
}

// findPoolPrices returns the price of one more machine of each pool that grows, in US dollars per hour: that of its
// machines, or that of the best placement.
func findPoolPrices(ctx context.Context, ops *client.Client, before, after *api.Cluster,
	known map[string][]api.Placement) (map[string]float64, error) {
	growing := map[string]bool{}
	for _, s := range plan.ChangeSteps(before, after, plan.Observation{}, nil) {
		if s.Kind == api.ActionAddMachines {
			growing[s.Pool] = true
		}
	}
	prices := map[string]float64{}
	for _, pool := range slices.Sorted(maps.Keys(growing)) {
		placements := known[pool]
		if machines := render.MachinesOfPool(before, pool); len(machines) > 0 && len(placements) == 0 {
			prices[pool] = machines[len(machines)-1].Placement.PricePerMachine
			continue
		}
		if len(placements) == 0 {
			var err error
			if placements, err = ops.PlanPool(ctx, after, *after.Spec.FindPool(pool), nil); err != nil {
				return nil, err
			}
		}
		prices[pool] = placements[0].PricePerMachine
	}
	return prices, nil
}
