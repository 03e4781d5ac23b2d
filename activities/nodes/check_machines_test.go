package nodes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

func TestEachWorkerTriesOneOther(t *testing.T) {
	c := &api.Cluster{}
	add := func(index int, role api.Role, state api.MachineState) {
		c.Status.Machines = append(c.Status.Machines, api.Machine{Index: index, Role: role, State: state,
			Name: fmt.Sprint("m", index)})
	}
	add(0, api.RoleHead, api.MachineReady)
	add(3, api.RoleWorker, api.MachineReady)
	if next := pairWorkers(c); len(next) != 0 {
		t.Errorf("one worker: %v", next)
	}
	add(1, api.RoleWorker, api.MachineReady)
	add(2, api.RoleWorker, api.MachinePrepared)
	add(7, api.RoleWorker, api.MachineReady)
	pairs := map[string]string{}
	for name, m := range pairWorkers(c) {
		pairs[name] = m.Name
	}
	if want := map[string]string{"m1": "m3", "m3": "m7", "m7": "m1"}; !maps.Equal(pairs, want) {
		t.Errorf("got %v, want %v", pairs, want)
	}
	check := clusterCheck{cluster: c, next: pairWorkers(c), head: &c.Status.Machines[0]}
	var tried []string
	for _, r := range check.listRoutes(&c.Status.Machines[1]) {
		tried = append(tried, r.from.Name+" "+r.to.Name+" "+r.port.String())
	}
	if want := []string{"m3 m0 9345/tcp", "m3 m0 6443/tcp", "m0 m3 10250/tcp", "m3 m0 8472/udp", "m0 m3 8472/udp",
		"m3 m7 10250/tcp", "m3 m7 8472/udp"}; !slices.Equal(tried, want) {
		t.Errorf("tried %q", tried)
	}
	for _, i := range []int{0, 3} {
		if got := check.listRoutes(&c.Status.Machines[i]); len(got) > 0 {
			t.Errorf("m%d, which is no worker or no node, tries %v", i, got)
		}
	}
}

func TestNewMachinesTryThoseThatAnswer(t *testing.T) {
	c := &api.Cluster{}
	for i, m := range []api.Machine{{Role: api.RoleHead, State: api.MachineReady},
		{HostKey: "k", State: api.MachineReady}, {State: api.MachineLaunching}, {HostKey: "k", State: api.MachineGone},
		{HostKey: "k", State: api.MachinePrepared}} {
		m.Index, m.Name, m.PrivateAddress = i, fmt.Sprint("m", i), fmt.Sprint("10.0.0.", i)
		c.Status.Machines = append(c.Status.Machines, m)
	}
	for i, want := range []string{"m1 m4", "m0 m4", "m0 m1 m4", "m0 m1 m4", "m0 m1"} {
		var got []string
		for _, p := range listKnownPeers(c, &c.Status.Machines[i]) {
			got = append(got, p.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("m%d tries %q, want %s", i, got, want)
		}
	}
}
