package cloud

import (
	"cmp"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// RankedGroup is a number of machines that get the same placement, and their placements in order of preference.
type RankedGroup struct {
	Count      int
	Placements []api.Placement
}

// CombinePlacements returns the combinations of a placement for each group that have the same cloud and region, so that
// the machines reach each other: the one with the lowest price of all machines first. In a region, the groups' first
// choices are combined, then their second ones, and so on; a group with fewer of them keeps its last one. Every
// placement of a region is part of a combination. A single group keeps its order.
func CombinePlacements(groups []RankedGroup) [][]api.Placement {
	if len(groups) == 0 {
		return nil
	}
	type place struct{ cloud, region string }
	inPlace := make([]map[place][]api.Placement, len(groups))
	var places []place
	for i, g := range groups {
		inPlace[i] = map[place][]api.Placement{}
		for _, p := range g.Placements {
			at := place{p.Cloud, p.Region}
			if i == 0 && inPlace[i][at] == nil {
				places = append(places, at)
			}
			inPlace[i][at] = append(inPlace[i][at], p)
		}
	}
	var all [][]api.Placement
	for _, at := range places {
		choices := make([][]api.Placement, len(groups))
		for i := range groups {
			choices[i] = inPlace[i][at]
		}
		all = append(all, combineChoices(choices)...)
	}
	if len(groups) == 1 {
		return slices.Collect(slices.Chunk(groups[0].Placements, 1))
	}
	slices.SortStableFunc(all, func(a, b []api.Placement) int {
		return cmp.Compare(priceOfGroups(groups, a), priceOfGroups(groups, b))
	})
	return all
}

// combineChoices combines the first choices of all groups, then the second ones. It returns nil if a group has none.
func combineChoices(choices [][]api.Placement) [][]api.Placement {
	longest := 0
	for _, c := range choices {
		if len(c) == 0 {
			return nil
		}
		longest = max(longest, len(c))
	}
	combinations := make([][]api.Placement, longest)
	for n := range combinations {
		for _, c := range choices {
			combinations[n] = append(combinations[n], c[min(n, len(c)-1)])
		}
	}
	return combinations
}

// priceOfGroups is what the machines of all groups cost in US dollars per hour.
func priceOfGroups(groups []RankedGroup, placements []api.Placement) float64 {
	sum := 0.0
	for i, p := range placements {
		sum += p.PricePerMachine * float64(groups[i].Count)
	}
	return sum
}
