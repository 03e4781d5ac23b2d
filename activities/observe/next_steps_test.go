package observe

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSweepKeepsWhatTheOperationSaysItDoes(t *testing.T) {
	recorded := []api.Drift{
		{Machine: "sky-a-1", Reason: api.DriftMachineMissing, Next: "it is being brought up"},
		{Machine: "sky-a-2", Reason: api.DriftMachineMissing, Next: "it is being brought up"},
	}
	seen := []api.Drift{
		{Machine: "sky-a-1", Reason: api.DriftMachineMissing, Message: "newer", Next: "it is brought up"},
		{Machine: "sky-a-2", Reason: api.DriftMachineMissing, Next: api.HomeHeld},
		{Machine: "sky-a-3", Reason: api.DriftMachineMissing, Next: "it is brought up"},
	}
	keepNextSteps(seen, recorded)
	for i, want := range []string{"it is being brought up", api.HomeHeld, "it is brought up"} {
		if seen[i].Next != want {
			t.Errorf("%s: %q, want %q", seen[i].Machine, seen[i].Next, want)
		}
	}
	if seen[0].Message != "newer" {
		t.Errorf("%+v", seen[0])
	}
}
