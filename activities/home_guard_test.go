package activities

import (
	"reflect"
	"testing"
)

// harmless are activities of machines and nodes that change neither: they read, or write what is this state's own.
var harmless = []string{
	"Check", "CheckSpec", "Plan", "Survey", "Existing", "AwaitServer", "AwaitNode", "Diagnose", "WriteKubeconfig",
	"ProbeGPUs", "AwaitGPUs",
	"RecordAddress", "CheckLost",
}

func TestEveryActivityThatChangesMachinesIsGuarded(t *testing.T) {
	known := map[string]bool{}
	for name := range guardedActivities {
		known[name] = true
	}
	for _, name := range harmless {
		if guardedActivities[name] {
			t.Errorf("%s is both", name)
		}
		known[name] = true
	}
	found := map[string]bool{}
	for _, of := range []any{&Machines{}, &Nodes{}, &GPUs{}} {
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
