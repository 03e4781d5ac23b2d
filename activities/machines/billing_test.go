package machines

import (
	"math"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

func TestClustersCostEqualsTheCloudsBill(t *testing.T) {
	t0 := time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }
	// AWS bills exact times, and reports launch and end in whole seconds.
	type machine struct{ asked, launched, ended, noticed float64 }
	for name, all := range map[string][]machine{
		"asked for long before it was launched": {{0, 400.4, 700.9, 702}, {0, 410.2, 700.3, 702}},
		"noticed long after it had ended":       {{0, 5.3, 200.6, 900}, {0, 5.9, 205.1, 901}},
		"marked gone early":                     {{0, 3.2, 350.7, 60}, {0, 4.8, 190.2, 195}},
	} {
		var c api.ClusterStatus
		told, bill := cloud.Lifetimes{Clouds: []string{"aws"}, Remembered: time.Hour}, 0.0
		const price = 0.085
		for i, m := range all {
			c.Machines = append(c.Machines, api.Machine{
				Index: i, Incarnation: "a", State: api.MachineGone, LaunchedAt: at(m.asked), GoneAt: at(m.noticed),
				CloudID:   "i-1",
				Placement: api.Placement{Cloud: "aws", PricePerMachine: price},
			})
			told.Machines = append(told.Machines, cloud.Lifetime{
				Index: i, Incarnation: "a", From: at(m.launched).Truncate(time.Second),
				Until: at(m.ended).Truncate(time.Second), Ended: true,
			})
			bill += (m.ended - m.launched) / 3600 * price
		}
		now := at(1000)
		before := c.CostSoFar(now)
		for i := range c.Machines {
			mergeLifetimes(&c.Machines[i], told, now)
		}
		if got := c.CostSoFar(now); math.Abs(got-bill) > 0.02*bill || c.IsCostEstimated() {
			t.Errorf("%s: $%.5f, an estimate: %v; the bill is $%.5f", name, got, c.IsCostEstimated(), bill)
		}
		if math.Abs(before-bill) < 0.02*bill {
			t.Errorf("%s: the cost is the same without the cloud's times", name)
		}
	}
}

func TestCostsUseTheCloudsOwnTimes(t *testing.T) {
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
		"asked for and noticed late": {api.Machine{LaunchedAt: at(0), GoneAt: at(50)},
			[]cloud.Lifetime{life("a", 10, 30)}, 20, false},
		"marked gone early": {api.Machine{LaunchedAt: at(0), GoneAt: at(5)},
			[]cloud.Lifetime{life("a", 1, 41)}, 40, false},
		"marked gone and still there": {api.Machine{LaunchedAt: at(0), GoneAt: at(5)},
			[]cloud.Lifetime{life("a", 1, 0)}, 4, true},
		"running": {api.Machine{LaunchedAt: at(0)}, []cloud.Lifetime{life("a", 10, 0)}, 50, false},
		"two of an incarnation": {api.Machine{LaunchedAt: at(0), GoneAt: at(50)},
			[]cloud.Lifetime{life("a", 10, 12), life("a", 12, 30)}, 20, false},
		"another incarnation": {api.Machine{LaunchedAt: at(0), GoneAt: at(50), CloudID: "i-1"},
			[]cloud.Lifetime{life("b", 10, 30)}, 50, true},
		"no capacity": {api.Machine{LaunchedAt: at(30), GoneAt: at(50)}, nil, 0, false},
		"ended long ago": {api.Machine{LaunchedAt: at(-500), GoneAt: at(-450), CloudID: "i-1"}, nil, 50,
			true},
		"known, and forgotten since": {api.Machine{LaunchedAt: at(0), GoneAt: at(50), BilledFrom: at(10),
			BilledUntil: at(30)}, nil, 20, false},
		"stopped and started since": {api.Machine{LaunchedAt: at(0), BilledFrom: at(10)},
			[]cloud.Lifetime{life("a", 40, 0)}, 50, false},
	} {
		m := test.m
		m.Index, m.Incarnation, m.Placement = 1, "a", api.Placement{Cloud: "aws", PricePerMachine: 60}
		if !m.GoneAt.IsZero() {
			m.State = api.MachineGone
		}
		told := cloud.Lifetimes{Clouds: []string{"aws"}, Remembered: 50 * time.Minute, Machines: test.told}
		mergeLifetimes(&m, told, now)
		if got := m.CostUntil(now); math.Abs(got-test.minutes) > 1e-6 || m.IsCostEstimated() != test.estimate {
			t.Errorf("%s: %v minutes, an estimate: %v; want %v, %v", name, got, m.IsCostEstimated(), test.minutes,
				test.estimate)
		}
		if mergeLifetimes(&m, told, now) {
			t.Errorf("%s: merging the same lifetimes again reports a change", name)
		}
	}
}
