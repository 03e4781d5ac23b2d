package homewatch_test

import (
	"reflect"
	"testing"

	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/snapshots"
)

// harmless are the activities of machines and nodes that don't change machines: they read, or only write to etcd.
var harmless = []string{
	"Check", "CheckSpec", "Plan", "Survey", "Existing", "AwaitServer", "AwaitNode", "Diagnose", "WriteKubeconfig",
	"ProbeGPUs", "AwaitGPUs",
	"RecordAddress", "CheckLost", "PlanPool", "RecordPoolAttempt", "RepositionMachine",
	"CheckSnapshot", "ConfirmGone", "PlanServer",
	"AssessSnapshots", "StartDueSnapshots", "RecordSnapshots", "WantSnapshot", "FailSnapshot", "ListLocalData",
	"CheckMachines", "CheckServing",
	"CheckSnapshotFile",
}

func TestEveryActivityThatChangesMachinesIsGuarded(t *testing.T) {
	known := map[string]bool{}
	for name := range homewatch.GuardedActivities {
		known[name] = true
	}
	for _, name := range harmless {
		if homewatch.GuardedActivities[name] {
			t.Errorf("%s is both guarded and harmless", name)
		}
		known[name] = true
	}
	found := map[string]bool{}
	for _, of := range []any{&machines.Activities{}, &nodes.Activities{}, &gpustack.Activities{},
		&snapshots.Activities{}} {
		methods := reflect.TypeOf(of)
		for i := range methods.NumMethod() {
			name := methods.Method(i).Name
			found[name] = true
			if !known[name] {
				t.Errorf("%s is neither guarded nor harmless", name)
			}
		}
	}
	for name := range known {
		if !found[name] {
			t.Errorf("no such activity: %s", name)
		}
	}
}
