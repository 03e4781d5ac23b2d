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

func TestTheCostOfAClusterIncludesReplacedMachines(t *testing.T) {
	t0 := time.Unix(1000, 0)
	s := api.ClusterStatus{Machines: []api.Machine{
		{Placement: api.Placement{PricePerMachine: 1}, LaunchedAt: t0, SpentBefore: 0.5},
		{Placement: api.Placement{PricePerMachine: 3}, LaunchedAt: t0, GoneAt: t0.Add(time.Hour)},
	}}
	if got := s.CostSoFar(t0.Add(2 * time.Hour)); math.Abs(got-5.5) > 1e-9 {
		t.Errorf("$%v, want $5.50", got)
	}
}

func TestCostPerHourCountsMachinesThatMayExist(t *testing.T) {
	var s api.ClusterStatus
	for i, st := range []api.MachineState{api.MachineReserved, api.MachineLaunching, api.MachineUp, api.MachinePrepared,
		api.MachineReady, api.MachineTerminating, api.MachineGone} {
		s.Machines = append(s.Machines, api.Machine{Index: i, State: st,
			Placement: api.Placement{PricePerMachine: 0.5}})
	}
	if got := s.CostPerHour(); got != 2.5 {
		t.Errorf("5 of 7 may exist at 0.5: %v", got)
	}
	s.Machines, s.Placement = nil, &api.Placement{PriceTotal: 2}
	for p, want := range map[api.Phase]float64{api.PhaseInit: 0, api.PhaseProvisioning: 2, api.PhaseReady: 2,
		api.PhaseError: 0, api.PhaseDeleting: 2} {
		if s.Phase = p; s.CostPerHour() != want {
			t.Errorf("%s: %v", p, s.CostPerHour())
		}
	}
	s.Phase, s.KeepOnFailure = api.PhaseError, true
	if s.CostPerHour() != 2 {
		t.Error("kept machines cost nothing")
	}
	if s.Placement = nil; s.CostPerHour() != 0 {
		t.Error("no placement costs something")
	}
}
