package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// planMachines asks the clouds about the new machines of all plans, and works out steps and prices.
func (c *Client) planMachines(ctx context.Context, plans []ApplyPlan, o PlanOptions) error {
	var one sync.Mutex
	accept := func(w *operation.WorkerInfo) error {
		one.Lock()
		defer one.Unlock()
		if o.Accept == nil {
			return nil
		}
		return o.Accept(w)
	}
	errs := make([]error, len(plans))
	var asking errgroup.Group
	asking.SetLimit(plansAtOnce)
	for i := range plans {
		asking.Go(func() error {
			errs[i] = c.planMachinesOf(ctx, &plans[i], accept)
			return nil
		})
	}
	_ = asking.Wait() // the errors are in errs
	return errors.Join(errs...)
}

func (c *Client) planMachinesOf(ctx context.Context, p *ApplyPlan, accept func(*operation.WorkerInfo) error) error {
	switch p.Kind {
	case ApplySame:
		p.PriceBefore = plan.PricePerHour(p.Before, nil)
		p.PriceAfter = p.PriceBefore
		return nil
	case ApplyCreate, ApplyResume:
		return c.planNewMachines(ctx, p, accept)
	}
	prices, asked, err := c.PricePools(ctx, p.Before, p.After, nil, accept)
	if err != nil {
		return p.locateErrors(err)
	}
	p.Prices = prices
	if !asked {
		if err := c.CheckWorker(ctx, p.After.Spec.ControlPlaneGroup(), accept); err != nil {
			return err
		}
	}
	p.Steps = plan.ChangeSteps(p.Before, p.After, plan.Observation{}, p.Prices)
	p.PriceBefore, p.PriceAfter = plan.PricePerHour(p.Before, p.Prices), plan.PricePerHour(p.After, p.Prices)
	return nil
}

// planNewMachines plans a create.
func (c *Client) planNewMachines(ctx context.Context, p *ApplyPlan, accept func(*operation.WorkerInfo) error) error {
	where, err := c.PlanCluster(ctx, p.After.Spec, accept)
	if err == nil && p.Kind == ApplyCreate {
		err = errors.Join(api.LocateServerErrors(p.After.Spec.ControlPlaneGroup().CheckServerPlacements(
			where.Placements))...)
	}
	if err != nil {
		return p.locateErrors(err)
	}
	p.Warnings = where.Warnings
	best := where.Placements[0]
	p.PriceAfter, p.Prices = best.PriceTotal, map[string]float64{}
	add := func(pool string, count int, each float64) {
		p.Prices[pool] = each
		if count > 0 {
			p.Steps = append(p.Steps, plan.Step{Kind: api.ActionAddMachines, Pool: pool, Count: count,
				PricePerHour: float64(count) * each})
		}
	}
	add("", p.After.Spec.ControlPlane.Replicas, best.PricePerMachine)
	for _, pool := range p.After.Spec.Pools {
		add(pool.Name, pool.Replicas, api.FindPoolPlacement(where.Pools, pool.Name, best).PricePerMachine)
	}
	return nil
}

// locateErrors adds places in the file to field errors. Others name the cluster.
func (p *ApplyPlan) locateErrors(err error) error {
	if len(api.FieldErrorsOf(err)) > 0 {
		return p.Document.LocateErrors(err)
	}
	return fmt.Errorf("cluster %s: %w", p.Name, err)
}
