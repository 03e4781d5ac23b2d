package nodes

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestTimeToJoinCountsFromTheAPI(t *testing.T) {
	start := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	for name, tt := range map[string]struct {
		phase  api.Phase
		ready  time.Time
		now    time.Time
		wanted time.Duration
	}{
		"a server that is not ready":      {api.PhaseProvisioning, time.Time{}, at(10), apiReadyInterval},
		"ready before the worker started": {api.PhaseProvisioning, at(-1), at(10), -time.Minute},
		"ready while the worker waited":   {api.PhaseProvisioning, at(7), at(10), 7 * time.Minute},
		"ready late": {api.PhaseProvisioning, at(14), at(14.1),
			10*time.Minute - 6*time.Second},
		"time after the API is over":           {api.PhaseProvisioning, at(7), at(17), 0},
		"a server that is never ready":         {api.PhaseProvisioning, time.Time{}, at(25), 0},
		"shortly before the latest time":       {api.PhaseProvisioning, time.Time{}, at(24.9), 6 * time.Second},
		"a cluster that ran before":            {api.PhaseReady, time.Time{}, at(10), 0},
		"ready only after the latest time":     {api.PhaseProvisioning, at(16), at(17), 8 * time.Minute},
		"recorded by a clock that went wrong":  {api.PhaseProvisioning, at(90), at(17), 8 * time.Minute},
		"a cluster that runs since a restore":  {api.PhaseReady, at(-90), at(10), 0},
		"an older version's record of a start": {api.PhaseProvisioning, time.Time{}, at(26), -time.Minute},
	} {
		c := &api.Cluster{}
		c.Status.Phase = tt.phase
		c.Status.Machines = []api.Machine{{Role: api.RoleHead, APIReadyAt: tt.ready}}
		if got := joinTimeLeft(c, tt.now, at(25), 10*time.Minute); got != tt.wanted {
			t.Errorf("%s: got %s, want %s", name, got, tt.wanted)
		}
	}
}
