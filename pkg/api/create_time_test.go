package api

import (
	"testing"
	"time"
)

func TestOnlyCreatesWithoutFailureAreMeasured(t *testing.T) {
	for _, tt := range []struct {
		phases   []Phase
		measured bool
	}{
		{[]Phase{PhaseInit, PhaseProvisioning, PhaseReady}, true},
		{[]Phase{PhaseInit, PhaseProvisioning}, false},
		{[]Phase{PhaseInit, PhaseProvisioning, PhaseError, PhaseProvisioning, PhaseReady}, false},
		{[]Phase{PhaseInit, PhaseError, PhaseInit, PhaseProvisioning, PhaseReady}, false},
		{[]Phase{PhaseInit, PhaseProvisioning, PhaseReady, PhaseError, PhaseProvisioning, PhaseReady}, false},
		{[]Phase{PhaseReady}, false},
	} {
		var s ClusterStatus
		for i, p := range tt.phases {
			s.SetPhase(p, "", time.Unix(int64(i*40), 0))
		}
		took, ok := s.MeasureCreate()
		if ok != tt.measured || ok && took != 80*time.Second {
			t.Errorf("%v: %s, %v", tt.phases, took, ok)
		}
	}
}

func TestEstimateIsTheMedianOfTheNearestCreates(t *testing.T) {
	earlier := []CreateTime{{3, 40}, {3, 60}, {3, 300}, {10, 900}, {1, 20}}
	for machines, want := range map[int]CreateEstimate{
		3: {time.Minute, 3}, 1: {20 * time.Second, 1}, 200: {15 * time.Minute, 1}, 4: {time.Minute, 3},
	} {
		if got := EstimateCreate(earlier, machines); got != want {
			t.Errorf("%d machines: %+v, want %+v", machines, got, want)
		}
	}
	if got := EstimateCreate(nil, 3); got != (CreateEstimate{}) {
		t.Errorf("without creates: %+v", got)
	}
}
