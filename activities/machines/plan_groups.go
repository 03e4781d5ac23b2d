package machines

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// ClusterPlacement is where all machines of a cluster go: that of its control plane, with the price of the whole
// cluster. Older histories contain only that.
type ClusterPlacement struct {
	api.Placement
	// Pools are the placements of the pools that are requested with another machine spec, in the same region.
	Pools []api.PoolPlacement `json:"pools,omitempty"`
	// Specs are the machine specs for which it was chosen, by pool; "" is the control plane. Older histories lack them.
	Specs map[string]api.MachineSpec `json:"specs,omitempty"`
}

// FillIn returns the placement with pools that it lacks, from the first one in the same region that has them.
func (p ClusterPlacement) FillIn(ranked []ClusterPlacement) ClusterPlacement {
	known := slices.Clone(p.Pools)
	for _, r := range ranked {
		if r.Cloud != p.Cloud || r.Region != p.Region {
			continue
		}
		for _, pool := range r.Pools {
			if !slices.ContainsFunc(known, func(k api.PoolPlacement) bool { return k.Pool == pool.Pool }) {
				known = append(known, pool)
			}
		}
	}
	p.Pools = known
	if p.Specs == nil && len(ranked) > 0 {
		p.Specs = ranked[0].Specs
	}
	return p
}

// rankCluster ranks the placements for the groups of a cluster that does not exist yet.
func rankCluster(ctx context.Context, onCloud cloud.Cloud, groups []api.PlacementGroup) ([]ClusterPlacement, error) {
	ranked := make([]cloud.RankedGroup, len(groups))
	for i, g := range groups {
		placements, err := rankWithFallback(ctx, onCloud, g.GroupSpec, api.NeighborsOfGroup(groups, i), g.SpotFallback)
		if err != nil && len(groups) > 1 {
			err = fmt.Errorf("%s: %w", describeGroup(i, g), err)
		}
		if err != nil {
			return nil, err
		}
		if g.WithServers {
			placements = g.PreferServerSized(placements)
		}
		ranked[i] = cloud.RankedGroup{Count: g.NumNodes, Placements: placements}
	}
	var all []ClusterPlacement
	for _, combination := range cloud.CombinePlacements(ranked) {
		all = append(all, newClusterPlacement(groups, combination))
	}
	if len(all) == 0 {
		return nil, newNoRegionError(groups, ranked)
	}
	return all, nil
}

// newClusterPlacement returns a combination of placements, one for each group.
func newClusterPlacement(groups []api.PlacementGroup, placements []api.Placement) ClusterPlacement {
	whole := ClusterPlacement{Placement: placements[0], Specs: map[string]api.MachineSpec{"": groups[0].MachineSpec()}}
	for _, pool := range groups[0].Pools {
		whole.Specs[pool] = groups[0].MachineSpec()
	}
	for i := 1; i < len(groups); i++ {
		p := placements[i]
		whole.PriceTotal += p.PriceTotal
		for _, pool := range groups[i].Pools {
			whole.Pools = append(whole.Pools, api.PoolPlacement{Pool: pool, Placement: p})
			whole.Specs[pool] = groups[i].MachineSpec()
		}
	}
	return whole
}

// newNoRegionError says that no region offers all groups, and which regions offer each.
func newNoRegionError(groups []api.PlacementGroup, ranked []cloud.RankedGroup) error {
	var offers []string
	for i, g := range groups {
		var regions []string
		for _, p := range ranked[i].Placements {
			if at := p.Cloud + "/" + p.Region; !slices.Contains(regions, at) {
				regions = append(regions, at)
			}
		}
		offers = append(offers, describeGroup(i, g)+" fits in "+strings.Join(regions, ", "))
	}
	return &cloud.Error{Kind: cloud.Infeasible,
		Message: "no region offers the machines of all pools: " + strings.Join(offers, "; ")}
}

// describeGroup names a group for people.
func describeGroup(i int, g api.PlacementGroup) string {
	if i == 0 {
		return "the control plane"
	}
	return "pool " + strings.Join(g.Pools, " and ")
}
