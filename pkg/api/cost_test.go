package api_test

import (
	"math"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestAMachineCostsFromItsLaunchUntilItIsGone(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := api.Placement{PricePerMachine: 2}
	for name, c := range map[string]struct {
		m    api.Machine
		want float64
	}{
		"never launched":     {api.Machine{Placement: at, ReservedAt: t0}, 0},
		"running":            {api.Machine{Placement: at, LaunchedAt: t0}, 6},
		"gone":               {api.Machine{Placement: at, LaunchedAt: t0, GoneAt: t0.Add(time.Hour)}, 2},
		"free":               {api.Machine{LaunchedAt: t0}, 0},
		"a clock that lags":  {api.Machine{Placement: at, LaunchedAt: t0.Add(9 * time.Hour)}, 0},
		"gone before launch": {api.Machine{Placement: at, LaunchedAt: t0, GoneAt: t0.Add(-time.Hour)}, 0},
	} {
		if got := c.m.CostUntil(t0.Add(3 * time.Hour)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: $%v, want $%v", name, got, c.want)
		}
	}
}

func TestAClustersCostHoldsMachinesThatWereReplaced(t *testing.T) {
	t0 := time.Unix(1000, 0)
	s := api.ClusterStatus{Machines: []api.Machine{
		{Placement: api.Placement{PricePerMachine: 1}, LaunchedAt: t0, SpentBefore: 0.5},
		{Placement: api.Placement{PricePerMachine: 3}, LaunchedAt: t0, GoneAt: t0.Add(time.Hour)},
	}}
	if got := s.CostSoFar(t0.Add(2 * time.Hour)); math.Abs(got-5.5) > 1e-9 {
		t.Errorf("$%v, want $5.50", got)
	}
}
