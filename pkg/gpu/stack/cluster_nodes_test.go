package stack

import (
	"maps"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestAcceleratorsAreExpectedOfMachinesThatWereBroughtUp(t *testing.T) {
	c := api.NewCluster("a", "u", api.GroupSpec{Cloud: "aws", NumNodes: 2, Provision: true}, nil, time.Now())
	if err := c.CreatePool(api.Pool{Name: "gpu", Replicas: 4, Machine: api.MachineSpec{Accelerators: "A100:8"}},
		time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, m := range []api.Machine{
		{Role: api.RoleHead, State: api.MachineReady},
		{Pool: api.DefaultPool, State: api.MachineReady},
		{Pool: "gpu", State: api.MachineReady},
		{Pool: "gpu", State: api.MachineReserved}, // the cloud has no room for it
		{Pool: "gpu", State: api.MachineLaunching, Replacement: true},
		{Pool: "gpu", State: api.MachineReady, Leaving: api.LeaveDeleted},
	} {
		m.Index, m.NodeName = i, api.NodeName("a", i, "x")
		c.Status.Machines = append(c.Status.Machines, m)
	}
	if got := ExpectedByNode(c); !maps.Equal(got, map[string]int{"sky-a-2-x": 8, "sky-a-4-x": 8}) {
		t.Errorf("got %v", got)
	}
}
