package activities

import (
	"math"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

func TestCostsCountFromTheCloudsOwnTimes(t *testing.T) {
	t0 := time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }
	life := func(incarnation string, from, until int) cloud.Lifetime {
		l := cloud.Lifetime{Index: 1, Incarnation: incarnation, From: at(from)}
		if until > 0 {
			l.Until, l.Ended = at(until), true
		}
		return l
	}
	now := at(60)
	for name, test := range map[string]struct {
		m        api.Machine
		told     []cloud.Lifetime
		minutes  float64
		estimate bool
	}{
		"asked for and noticed late":  {api.Machine{LaunchedAt: at(0), GoneAt: at(50)}, []cloud.Lifetime{life("a", 10, 30)}, 20, false},
		"marked gone early":           {api.Machine{LaunchedAt: at(0), GoneAt: at(5)}, []cloud.Lifetime{life("a", 1, 41)}, 40, false},
		"marked gone and still there": {api.Machine{LaunchedAt: at(0), GoneAt: at(5)}, []cloud.Lifetime{life("a", 1, 0)}, 4, true},
		"running":                     {api.Machine{LaunchedAt: at(0)}, []cloud.Lifetime{life("a", 10, 0)}, 50, false},
		"two of an incarnation":       {api.Machine{LaunchedAt: at(0), GoneAt: at(50)}, []cloud.Lifetime{life("a", 10, 12), life("a", 12, 30)}, 20, false},
		"another incarnation":         {api.Machine{LaunchedAt: at(0), GoneAt: at(50), CloudID: "i-1"}, []cloud.Lifetime{life("b", 10, 30)}, 50, true},
		"no capacity":                 {api.Machine{LaunchedAt: at(30), GoneAt: at(50)}, nil, 0, false},
		"ended long ago":              {api.Machine{LaunchedAt: at(-500), GoneAt: at(-450), CloudID: "i-1"}, nil, 50, true},
		"known, and forgotten since":  {api.Machine{LaunchedAt: at(0), GoneAt: at(50), BilledFrom: at(10), BilledUntil: at(30)}, nil, 20, false},
		"stopped and started since":   {api.Machine{LaunchedAt: at(0), BilledFrom: at(10)}, []cloud.Lifetime{life("a", 40, 0)}, 50, false},
	} {
		m := test.m
		m.Index, m.Incarnation, m.Placement = 1, "a", api.Placement{Cloud: "aws", PricePerMachine: 60}
		if !m.GoneAt.IsZero() {
			m.State = api.MachineGone
		}
		told := cloud.Lifetimes{Clouds: []string{"aws"}, Remembered: 50 * time.Minute, Machines: test.told}
		billed(&m, told, now)
		if got := m.Cost(now); math.Abs(got-test.minutes) > 1e-6 || m.CostEstimated() != test.estimate {
			t.Errorf("%s: %v minutes, an estimate: %v; want %v, %v", name, got, m.CostEstimated(), test.minutes, test.estimate)
		}
		if billed(&m, told, now) {
			t.Errorf("%s: the same is news again", name)
		}
	}
}
