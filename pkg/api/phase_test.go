package api_test

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestPhasesAreKnownAndBusy(t *testing.T) {
	for p, want := range map[api.Phase][2]bool{ // valid, busy
		api.PhaseInit: {true, false}, api.PhaseProvisioning: {true, true}, api.PhaseReady: {true, false},
		api.PhaseError: {true, false}, api.PhaseDeleting: {true, true}, "": {}, "ready": {},
	} {
		if got := [2]bool{p.IsKnown(), p.IsBusy()}; got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
}

func TestTheHistoryOfPhasesIsBounded(t *testing.T) {
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
