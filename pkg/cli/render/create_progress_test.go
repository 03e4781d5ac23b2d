package render

import (
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestCreatePercentGrowsWithItsMachines(t *testing.T) {
	c := fixture.NewFreshCluster()
	last := -1
	for _, state := range []api.MachineState{api.MachineReserved, api.MachineLaunching, api.MachineUp,
		api.MachinePrepared, api.MachineReady} {
		c.Status.Machines = nil
		for i := range c.Spec.MachineCount() {
			c.Status.Machines = append(c.Status.Machines, fixture.NewMachine("dev", i, state, "", time.Second))
		}
		percent, ok := CreatePercent(c)
		if !ok || percent <= last || percent > maxCreatePercent {
			t.Errorf("%s: %d %% after %d %%, %v", state, percent, last, ok)
		}
		last = percent
	}
	if c.Status.Phase = api.PhaseReady; last != maxCreatePercent {
		t.Errorf("all machines are Ready: %d %%", last)
	}
	if _, ok := CreatePercent(c); ok {
		t.Error("a READY cluster has a percentage")
	}
}

func TestTimeLeftSaysFromWhatItIsKnown(t *testing.T) {
	e := api.CreateEstimate{Takes: time.Minute, From: 3}
	for took, want := range map[time.Duration]string{
		20 * time.Second: "about 40s left, from 3 earlier creates",
		2 * time.Minute:  "longer than the 1m00s of 3 earlier creates",
	} {
		if got := FormatTimeLeft(e, took); got != want {
			t.Errorf("after %s: %q, want %q", took, got, want)
		}
	}
	if got := FormatTimeLeft(api.CreateEstimate{}, time.Second); got != "" {
		t.Errorf("without creates: %q", got)
	}
}

func TestNotesOfACreateAreForARunningOneOnly(t *testing.T) {
	c, e := fixture.NewFreshCluster(), api.CreateEstimate{Takes: 10 * time.Minute, From: 2}
	c.Status.Machines = nil
	c.Status.Transitions = []api.Transition{{Phase: api.PhaseInit, At: fixture.TimeAgo(4 * time.Minute)}}
	for _, tt := range []struct {
		phase    api.Phase
		estimate api.CreateEstimate
		want     []string
	}{
		{api.PhaseProvisioning, e, []string{"0%", "about 6m left"}},
		{api.PhaseProvisioning, api.CreateEstimate{}, []string{"0%"}},
		{api.PhaseProvisioning, api.CreateEstimate{Takes: time.Minute, From: 2}, []string{"0%"}},
		{api.PhaseReady, e, nil},
	} {
		c.Status.Phase = tt.phase
		if got := CreateNotes(c, tt.estimate, fixture.Noon); !slices.Equal(got, tt.want) {
			t.Errorf("%s, %v: %q, want %q", tt.phase, tt.estimate, got, tt.want)
		}
	}
}

func TestRowOfACreateChangesWithEachTenthOfTheWay(t *testing.T) {
	c := fixture.NewFreshCluster()
	c.Status.Phase = api.PhaseProvisioning
	signature := func(launching int) string {
		c.Status.Machines = nil
		for i := range c.Spec.MachineCount() {
			state := api.MachineReserved
			if i < launching {
				state = api.MachineLaunching
			}
			c.Status.Machines = append(c.Status.Machines, fixture.NewMachine("dev", i, state, "", time.Second))
		}
		return RowSignature(c, false)
	}
	all := c.Spec.MachineCount()
	if signature(0) != signature(all-1) || signature(all-1) == signature(all) {
		t.Errorf("%q, %q, %q", signature(0), signature(all-1), signature(all))
	}
}

func TestCreateSaysWhichAddOnsItWaitsFor(t *testing.T) {
	c := fixture.NewFreshCluster()
	c.Status.Phase = api.PhaseProvisioning
	c.Status.SetCondition(api.NewAddOnsCondition([]string{"CoreDNS does not serve"}), fixture.Noon)
	want := "waiting some minutes until pods can run: CoreDNS does not serve"
	if got := ProgressLines(c, fixture.Noon); !slices.Contains(got, want) {
		t.Errorf("got %q", got)
	}
	after := *c
	c.Status.Conditions = nil
	if got := ChangeLines(c, &after); !slices.Contains(got, want) {
		t.Errorf("in a log: %q", got)
	}
	after.Status.SetCondition(api.NewAddOnsCondition(nil), fixture.Noon)
	if got := AwaitedAddOnsLine(&after); got != "" {
		t.Errorf("add-ons that serve: %q", got)
	}
}
