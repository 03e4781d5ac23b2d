package api

import (
	"testing"
	"time"
)

func TestPoolRequestAsksForWhatThePoolLacks(t *testing.T) {
	c := NewCluster("c", "u", GroupSpec{NumNodes: 3, CPUs: "2+"}, nil, time.Time{})
	c.Status.Placement = &Placement{Cloud: "aws", Region: "us-east-1"}
	machine := func(index int, pool string, state MachineState, memory float64) Machine {
		m := NewMachine("c", index, pool, "bcdfg", Placement{MemoryGiB: memory}, time.Time{})
		m.State = state
		return m
	}
	gone := machine(5, DefaultPool, MachineGone, 4)
	leaving := machine(6, DefaultPool, MachineReady, 4)
	leaving.Leaving = LeaveScaledDown
	c.Status.Machines = []Machine{
		machine(0, "", MachineReady, 8), machine(1, DefaultPool, MachineReady, 4),
		machine(2, DefaultPool, MachineReserved, 4), // it has no room yet
		machine(3, "gpu", MachineReserved, 16), gone, leaving,
	}
	for replicas, want := range map[int]int{5: 4, 2: 1, 1: 1, 0: 1} {
		group, beside := c.PoolRequest(Pool{Name: DefaultPool, Replicas: replicas, Machine: MachineSpec{CPUs: "4+"}})
		if group.Cloud != "aws" || group.Region != "us-east-1" || group.CPUs != "4+" || group.NumNodes != want {
			t.Errorf("%d replicas: %+v", replicas, group)
		}
		if beside != (Neighbors{Machines: 3, MemoryGiB: 28, InPool: 1, PoolMemoryGiB: 4}) {
			t.Errorf("%d replicas: beside %+v", replicas, beside)
		}
	}
}
