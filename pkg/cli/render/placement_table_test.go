package render

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestPlacementTableShowsPrices(t *testing.T) {
	golden.Compare(t, "plan.txt", NewPlacementTable(newTestPlacements(), 2).String())
}

func newTestPlacements() []api.Placement {
	return []api.Placement{*fixture.NewReadyCluster().Status.Placement,
		{Cloud: "docker", Region: "local", CPUs: 2, MemoryGiB: 4}}
}
