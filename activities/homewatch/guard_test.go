package homewatch_test

import (
	"reflect"
	"testing"

	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
)

// harmless are activities of machines and nodes that change neither: they read, or write what is this state's own.
var harmless = []string{
	"Check", "CheckSpec", "Plan", "Survey", "Existing", "AwaitServer", "AwaitNode", "Diagnose", "WriteKubeconfig",
	"ProbeGPUs", "AwaitGPUs",
	"RecordAddress", "CheckLost",
}

func TestEveryActivityThatChangesMachinesIsGuarded(t *testing.T) {
	known := map[string]bool{}
	for name := range homewatch.GuardedActivities {
		known[name] = true
	}
	for _, name := range harmless {
		if homewatch.GuardedActivities[name] {
			t.Errorf("%s is both", name)
		}
		known[name] = true
	}
	found := map[string]bool{}
	for _, of := range []any{&machines.Activities{}, &nodes.Activities{}, &gpustack.Activities{}} {
		methods := reflect.TypeOf(of)
		for i := range methods.NumMethod() {
			name := methods.Method(i).Name
			found[name] = true
			if !known[name] {
				t.Errorf("%s: say whether it waits while it is in doubt whose the machines are", name)
			}
		}
	}
	for name := range known {
		if !found[name] {
			t.Errorf("there is no activity %s", name)
		}
	}
}
