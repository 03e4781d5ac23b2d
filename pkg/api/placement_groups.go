package api

import (
	"fmt"
	"slices"
)

// PlacementGroup is a group of machines of a new cluster that get the same placement.
type PlacementGroup struct {
	GroupSpec
	// Pools are the names of its pools. The first group is the control plane, and pools that are requested alike.
	Pools []string
	// SpotFallback is that of the pools.
	SpotFallback string
	// WithServers: it is the control plane.
	WithServers bool
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
	groups := []PlacementGroup{{GroupSpec: s.ControlPlaneGroup(), WithServers: true}}
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

// LocateErrors returns the *FieldErrors of which an error about the group consists, each with the path of its field in
// a cluster file.
func (g PlacementGroup) LocateErrors(err error) []error {
	group := pathControlPlane
	if len(g.Pools) > 0 && !g.WithServers {
		group = fmt.Sprintf("%s[%s]", pathPools, g.Pools[0])
	}
	return locateFieldErrors(err, group)
}

// LocateServerErrors does the same for an error about the machines of the control plane.
func LocateServerErrors(err error) []error { return locateFieldErrors(err, pathControlPlane) }

// LocatePoolErrors does the same for an error about the machines of a pool.
func LocatePoolErrors(pool string, err error) []error {
	return locateFieldErrors(err, fmt.Sprintf("%s[%s]", pathPools, pool))
}

func locateFieldErrors(err error, group string) []error {
	var located []error
	for _, e := range FieldErrorsOf(err) {
		switch f, known := FindField(e.Field); {
		case !known:
		case f.IsOfMachines():
			e.Field = group + "." + pathMachine + "." + e.Field
		case f.filePath() != "":
			e.Field = f.filePath()
		default: // num_nodes
			e.Field = group + ".replicas"
		}
		located = append(located, &e)
	}
	return located
}
