package machines

import (
	"testing"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// An earlier version recorded SkyPilot's name for the machine when it did not get an id.
func TestMachineWithItsNameAsRecordedIDIsTheClusters(t *testing.T) {
	owner := cloud.Owner{Installation: "here", Cluster: "x", ClusterUID: "uid"}
	record := api.Machine{Name: "sky-x-1", Index: 1, Incarnation: "one", CloudID: "sky-x-1-8c4f",
		State: api.MachineReady}
	c := &api.Cluster{Metadata: api.Metadata{Name: "x", UID: "uid"},
		Status: api.ClusterStatus{Machines: []api.Machine{record}}}
	listed := []cloud.Machine{{Owner: owner, Name: "sky-x-1", Index: 1, Incarnation: "one", ID: "i-1"}}
	own, others := splitByConflict(c, listed, nil)
	if len(own) != 1 || len(others) != 0 {
		t.Fatalf("own %v, others %v", own, others)
	}
	all := mergeExisting(c, own, others)
	if len(all) != 1 || all[0].ID != "i-1" || all[0].Unrecorded {
		t.Fatalf("existing machines %+v", all)
	}
	in := TerminateInput{Name: all[0].Name, Incarnation: all[0].Incarnation, ID: all[0].ID, Index: all[0].Index}
	if found, late := findRecordToTerminate(c, in); found == nil || late {
		t.Errorf("its record is %v, late: %v", found, late)
	}
	if id := activities.CloudTargetOf(owner, record).ID; id != "" {
		t.Errorf("its target has id %q, want none", id)
	}
}
