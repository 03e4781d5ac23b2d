package cli

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
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
		known := map[string]float64{}
		if len(placements) > 0 {
			known[r.newPool] = placements[0].PricePerMachine
		}
		prices, _, err := ops.PricePools(ctx, before, after, known, nil)
		if err != nil {
			return err
		}
		s.KeepLine()
		result := render.NewChangePlan(before, after, prices)
		if d.output.isStructured() {
			return d.output.write(a.env.Out, result)
		}
		return terminal.WritePage(a.env.Out, result.String())
	})
}
