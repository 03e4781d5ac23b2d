package plan_test

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// harm does random damage to a cluster. The head survives: it may only be stopped, or its RKE2 be dead.
func (s *sim) harm() {
	hung := 0
	for i := range s.c.Status.Machines {
		m := &s.c.Status.Machines[i]
		switch {
		case i == 0:
			s.harmHead(m)
		case s.chance(0.5):
			s.harmWorker(m, &hung)
		}
	}
	for i := range s.r.IntN(3) { // indexes past the last one
		index := s.c.Spec.MachineCount() + i
		name := api.MachineName(s.c.Metadata.Name, index)
		s.machines[name] = &simMachine{index: index, incarnation: "extra", bare: true}
	}
	for i := range s.r.IntN(3) {
		s.nodes[fmt.Sprintf("sky-%s-%d-stray", s.c.Metadata.Name, i+1)] = &simNode{since: s.now.Add(-time.Hour)}
	}
	if s.chance(0.3) {
		s.nodes["user-joined"] = &simNode{since: s.now}
	}
	s.noKubeconfig, s.noGPU = s.chance(0.3), s.chance(0.3)
	if s.chance(0.3) {
		s.expire = s.now.AddDate(0, 1, 0)
	}
	s.canStart = s.chance(0.7)
	if head := s.machines["sky-x-0"]; head.stopped {
		s.canStart = true
	}
	s.lags, s.unasked, s.cutOff, s.blocked = s.r.IntN(4), s.r.IntN(3), s.r.IntN(3), s.r.IntN(5)
	s.noKeys = s.chance(0.2)
	s.before = s.staleListing()
	s.settle()
}

func (s *sim) harmHead(m *api.Machine) {
	on := s.machines[m.Name]
	switch s.r.IntN(8) {
	case 0:
		on.stopped = true
	case 1:
		on.active = "failed"
	case 2:
		on.active = "inactive"
	case 3:
		delete(s.nodes, m.NodeName)
	case 4:
		on.heals = s.now.Add(time.Duration(s.r.IntN(20)) * time.Minute)
	}
}

// harmWorker damages a worker in one of many ways. At most half of the workers hang: see limitParallelRepairs.
func (s *sim) harmWorker(m *api.Machine, hung *int) {
	on := s.machines[m.Name]
	switch s.r.IntN(14) {
	case 0:
		delete(s.machines, m.Name)
	case 1:
		delete(s.machines, m.Name)
		delete(s.nodes, m.NodeName)
	case 2:
		on.stopped = true
	case 3:
		on.active = []string{"failed", "inactive", "activating"}[s.r.IntN(3)]
	case 4, 5:
		if workers := s.c.Spec.MachineCount() - 1; 2*(*hung+1) <= workers || workers < 2 {
			*hung++
			on.hung, on.deaf = true, s.chance(0.5)
		}
	case 6:
		delete(s.nodes, m.NodeName)
	case 7:
		on.heals = s.now.Add(time.Duration(s.r.IntN(30)) * time.Minute)
	case 8: // a replacement that was cut off after it had reserved
		delete(s.machines, m.Name)
		m.State = []api.MachineState{api.MachineReserved, api.MachineLaunching}[s.r.IntN(2)]
		m.Incarnation, m.NodeName = "cut", api.NodeName(s.c.Metadata.Name, m.Index, "cut")
	case 9: // one that was cut off later
		m.State, on.bare = []api.MachineState{api.MachineUp, api.MachinePrepared}[s.r.IntN(2)], true
		delete(s.nodes, m.NodeName)
	case 10: // one that was cut off while it ended the one before
		m.State = api.MachineTerminating
	case 11:
		m.State = api.MachineGone
		delete(s.machines, m.Name)
	case 12: // the cloud has another one in its place
		on.incarnation = "other"
	case 13:
		on.active, on.stopped = "failed", true
	}
}

// staleListing returns an arbitrary list that only has the head right: a head that is not listed and does not answer is
// lost.
func (s *sim) staleListing() (all []plan.ListedMachine) {
	for _, m := range s.c.Status.Machines {
		if m.Index == 0 {
			all = append(all, plan.ListedMachine{Name: m.Name, Incarnation: m.Incarnation,
				Stopped: s.machines[m.Name].stopped})
		} else if s.chance(0.8) {
			l := plan.ListedMachine{Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, Stopped: s.chance(0.1)}
			if s.chance(0.1) {
				l.Incarnation = "stale"
			}
			all = append(all, l)
		}
	}
	return all
}
