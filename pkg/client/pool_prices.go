package client

import (
	"context"
	"errors"
	"maps"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// PricePools returns what one more machine of each pool costs after a change, in US dollars per hour. It asks the
// clouds about pools that are new, get another kind of machines, or grow and have no machine whose price is known, and
// reports whether it asked. It keeps known prices. Errors about a field of a pool name the pool.
func (c *Client) PricePools(ctx context.Context, before, after *api.Cluster, known map[string]float64,
	accept func(*operation.WorkerInfo) error) (prices map[string]float64, asked bool, err error) {
	prices = map[string]float64{}
	maps.Copy(prices, known)
	var errs []error
	for _, pool := range after.Spec.Pools {
		if _, has := known[pool.Name]; has {
			continue
		}
		old := before.Spec.FindPool(pool.Name)
		if old != nil && old.Machine == pool.Machine {
			last, has := lastPriceOf(before, pool)
			if has {
				prices[pool.Name] = last
			}
			if has || old.Replicas >= pool.Replicas {
				continue
			}
		}
		asked = true
		placements, err := c.PlanPool(ctx, after, pool, accept)
		if located := api.LocatePoolErrors(pool.Name, err); len(located) > 0 {
			err = errors.Join(located...)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		prices[pool.Name] = placements[0].PricePerMachine
	}
	return prices, asked, errors.Join(errs...)
}

// lastPriceOf is the price of the newest machine of a pool that has the pool's machine spec; false if there is none.
func lastPriceOf(c *api.Cluster, pool api.Pool) (float64, bool) {
	price, has := 0.0, false
	for _, m := range c.Status.Machines {
		if m.PoolName() == pool.Name && m.Leaving == "" && c.Spec.MachineSpecOf(m) == pool.Machine {
			price, has = m.Placement.PricePerMachine, true
		}
	}
	return price, has
}
