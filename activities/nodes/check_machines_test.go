package nodes

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestMachinesThatAreBeingTerminatedAreNotChecked(t *testing.T) {
	c := &api.Cluster{}
	for _, state := range []api.MachineState{api.MachineReserved, api.MachineLaunching, api.MachineReady,
		api.MachineTerminating, api.MachineGone} {
		c.Status.Machines = append(c.Status.Machines, api.Machine{State: state})
	}
	machines := listCheckable(c)
	if len(machines) != 2 || machines[0].State != api.MachineLaunching || machines[1].State != api.MachineReady {
		t.Errorf("got %d machines", len(machines))
	}
}
