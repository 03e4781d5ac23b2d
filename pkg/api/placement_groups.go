package api

import "slices"

// PlacementGroup is a group of machines of a new cluster that get the same placement.
type PlacementGroup struct {
	GroupSpec
	// Pools are the names of its pools. The first group is the control plane, and pools that are requested alike.
	Pools []string
	// SpotFallback is that of the pools.
	SpotFallback string
}

// PoolPlacement is the placement of a pool's machines.
type PoolPlacement struct {
	Pool      string    `json:"pool"`
	Placement Placement `json:"placement"`
}

// FindPoolPlacement returns the placement of a pool, or another one if the list lacks the pool.
func FindPoolPlacement(all []PoolPlacement, pool string, other Placement) Placement {
	for _, p := range all {
		if p.Pool == pool {
			return p.Placement
		}
	}
	return other
}

// PlacementGroups returns the groups of a new cluster, the one with the control plane first. It leaves out pools
// without machines.
func (s ClusterSpec) PlacementGroups() []PlacementGroup {
	groups := []PlacementGroup{{GroupSpec: s.ControlPlaneGroup()}}
	for _, p := range s.Pools {
		if p.Replicas == 0 {
			continue
		}
		i := slices.IndexFunc(groups, func(g PlacementGroup) bool {
			return g.MachineSpec() == p.Machine && g.SpotFallback == p.SpotFallback
		})
		if i < 0 {
			groups = append(groups, PlacementGroup{GroupSpec: s.PoolGroup(p), SpotFallback: p.SpotFallback})
			i = len(groups) - 1
			groups[i].NumNodes = 0
		}
		groups[i].NumNodes += p.Replicas
		groups[i].Pools = append(groups[i].Pools, p.Name)
	}
	return groups
}

// NeighborsOfGroup returns the machines of the other groups, which are placed at the same time. The size of those that
// request at least some memory is not known.
func NeighborsOfGroup(groups []PlacementGroup, of int) Neighbors {
	var beside Neighbors
	for i, g := range groups {
		if i == of {
			continue
		}
		beside.Machines += g.NumNodes
		wanted, err := g.MachineRequest()
		if err != nil || !wanted.MemoryGiB.IsSet() {
			beside.Unsized += g.NumNodes
			continue
		}
		beside.MemoryGiB += float64(wanted.MemoryGiB.Value * g.NumNodes)
	}
	return beside
}
