package cloud

import (
	"cmp"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// PostponeFailed moves the placements that failed behind the others, the one that failed last to the end. Otherwise the
// order stays.
func PostponeFailed(ranked []api.Placement, failed []api.FailedPlacement) []api.Placement {
	// failedAt is the position of the placement's last failure, and -1 without one.
	failedAt := func(p api.Placement) int {
		for i := len(failed) - 1; i >= 0; i-- {
			if failed[i].Placement.IsSamePlace(p) {
				return i
			}
		}
		return -1
	}
	ordered := slices.Clone(ranked)
	slices.SortStableFunc(ordered, func(a, b api.Placement) int { return cmp.Compare(failedAt(a), failedAt(b)) })
	return ordered
}
