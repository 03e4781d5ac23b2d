package api_test

import (
	"bytes"
	"crypto/rand"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestIncarnationsAreFairAndReadable(t *testing.T) {
	counts := map[rune]int{}
	const n = 20000
	for range n {
		id, err := api.NewIncarnation(rand.Reader)
		if err != nil || len(id) != api.IncarnationLength || strings.ContainsAny(id, "aeiou013l") ||
			!regexp.MustCompile(`^[a-z0-9]+$`).MatchString(id) {
			t.Fatalf("%q, %v", id, err)
		}
		for _, c := range id {
			counts[c]++
		}
	}
	mean := float64(n*api.IncarnationLength) / float64(len(counts))
	for c, k := range counts {
		if math.Abs(float64(k)-mean) > 6*math.Sqrt(mean) {
			t.Errorf("%c came %d times, the mean is %.0f", c, k, mean)
		}
	}
	if _, err := api.NewIncarnation(bytes.NewReader([]byte{1, 2})); err == nil {
		t.Error("too little randomness was enough")
	}
}

func TestNewMachineIsNamedAndReserved(t *testing.T) {
	now := time.Now()
	m := api.NewMachine("c", 2, "bcdfg", api.Placement{Cloud: "docker"}, now)
	if m.Name != "sky-c-2" || m.NodeName != "sky-c-2-bcdfg" || m.Role != api.RoleWorker ||
		m.State != api.MachineReserved || m.ReservedAt != now || m.Placement.Cloud != "docker" {
		t.Errorf("%+v", m)
	}
	if api.NewMachine("c", 0, "bcdfg", api.Placement{}, now).Role != api.RoleHead {
		t.Error("machine 0 is not the head")
	}
}

func TestMachineStateRecordsWhenItBegan(t *testing.T) {
	t0 := time.Unix(100, 0)
	m := api.NewMachine("c", 1, "bcdfg", api.Placement{}, t0)
	m.SetState(api.MachineLaunching, "launching", t0.Add(1))
	m.SetState(api.MachineLaunching, "launching", t0.Add(2))
	if m.Since != t0.Add(1) || m.LaunchedAt != t0.Add(1) {
		t.Errorf("the same state again began anew: %+v", m)
	}
	m.SetState(api.MachineLaunching, "waiting for SSH", t0.Add(3))
	if m.Since != t0.Add(3) || m.LaunchedAt != t0.Add(1) {
		t.Errorf("another step: %+v", m)
	}
	m.SetState(api.MachineReady, "", t0.Add(4))
	m.SetState(api.MachineGone, "", t0.Add(5))
	if m.ReadyAt != t0.Add(4) || m.GoneAt != t0.Add(5) || m.State != api.MachineGone || m.Step != "" {
		t.Errorf("%+v", m)
	}
}

func TestCostIsThatOfMachinesThatMayExist(t *testing.T) {
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

func TestPhasesKnowWhetherTheyLast(t *testing.T) {
	for p, want := range map[api.Phase][2]bool{ // valid, busy
		api.PhaseInit: {true, false}, api.PhaseProvisioning: {true, true}, api.PhaseReady: {true, false},
		api.PhaseError: {true, false}, api.PhaseDeleting: {true, true}, "": {}, "ready": {},
	} {
		if got := [2]bool{p.IsKnown(), p.IsBusy()}; got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
}

func TestConditionsMoveOnlyWithTheirStatus(t *testing.T) {
	var s api.ClusterStatus
	if s.FindCondition(api.NodesReady) != nil {
		t.Error("a condition that was never set")
	}
	t0 := time.Unix(100, 0)
	set := func(st api.ConditionStatus, msg string, at time.Time) {
		s.SetCondition(api.Condition{Type: api.NodesReady, Status: st, Message: msg}, at)
	}
	set(api.ConditionFalse, "1 of 3", t0)
	set(api.ConditionFalse, "2 of 3", t0.Add(1))
	if c := s.FindCondition(api.NodesReady); c.Message != "2 of 3" || c.LastTransitionTime != t0 {
		t.Errorf("%+v", c)
	}
	set(api.ConditionTrue, "", t0.Add(2))
	if c := s.FindCondition(api.NodesReady); c.LastTransitionTime != t0.Add(2) || len(s.Conditions) != 1 {
		t.Errorf("%+v", s.Conditions)
	}
}

func TestPhaseHistoryIsBounded(t *testing.T) {
	var s api.ClusterStatus
	for i := range 200 {
		s.SetPhase(api.PhaseReady, "", time.Unix(int64(i), 0))
		s.SetPhase(api.PhaseReady, "", time.Unix(int64(i), 1))
		s.SetPhase(api.PhaseError, "", time.Unix(int64(i), 2))
	}
	if n := len(s.Transitions); n != 50 || s.Transitions[n-1].At != time.Unix(199, 2) {
		t.Errorf("%d transitions, the last %+v", n, s.Transitions[n-1])
	}
}
