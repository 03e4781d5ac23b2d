package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// at puts all machines at their recorded addresses: private 10.0.0.<index>, public 20.0.0.<index>.
func (s *scene) at() {
	for i := range s.c.Status.Machines {
		m := s.record(i)
		m.Address, m.PrivateAddress, m.SSHPort = fmt.Sprintf("20.0.0.%d", i), fmt.Sprintf("10.0.0.%d", i), 22
		s.list(i, m.Address, m.PrivateAddress)
	}
}

// list makes the cloud list a machine at addresses.
func (s *scene) list(i int, public, private string) {
	for j := range s.w.Listed {
		if s.w.Listed[j].Index == i {
			s.w.Listed[j].Address, s.w.Listed[j].PrivateAddress, s.w.Listed[j].SSHPort = public, private, 22
		}
	}
}

// configured makes the configuration of RKE2 on a machine match its present addresses.
func (s *scene) configured(i int) {
	s.record(i).ConfiguredFor = s.record(i).ConfigAddresses(s.record(0))
}

func TestAddressesThatChanged(t *testing.T) {
	changed := func(i int) func(*scene) {
		return func(s *scene) { s.at(); s.list(i, "20.0.0.99", s.record(i).PrivateAddress) }
	}
	swapped := func(s *scene) {
		s.at()
		s.list(0, "20.0.0.1", "10.0.0.1")
		s.list(1, "20.0.0.0", "10.0.0.0")
	}
	hostKey := "machine sky-x-0 shows another host key than the pinned one"
	hold(t, []rule{
		{"none", func(s *scene) { s.at() }, "", "", ""},
		{"the record has none", func(s *scene) { s.list(1, "20.0.0.1", "10.0.0.1") }, "", "", ""},
		{"the cloud reports none", func(s *scene) { s.at(); s.list(1, "", "") }, "", "", ""},
		{"a worker's", changed(1), "RecordAddress sky-x-1",
			"sky-x-1 AddressChanged: its address is restored, or the new one is recorded", ""},
		{"a worker's, and the API is silent", func(s *scene) {
			changed(1)(s)
			s.silent()
			s.unit(0, "active")
		}, "RecordAddress sky-x-1", "", ""},
		{"a worker's private one", func(s *scene) {
			s.at()
			s.list(1, "20.0.0.1", "10.0.0.99")
		}, "RecordAddress sky-x-1", "AddressChanged", ""},
		{"the head's, and another machine answers at it", func(s *scene) {
			changed(0)(s)
			s.silent()
			s.w.Units[0] = plan.RKE2Unit{Error: hostKey}
		}, "RecordAddress sky-x-0", "sky-x-0 AddressChanged", ""},
		{"two were swapped", func(s *scene) {
			swapped(s)
			s.silent()
			s.w.Units[0] = plan.RKE2Unit{Error: hostKey}
		}, "RecordAddress sky-x-0, RecordAddress sky-x-1", "", ""},
		{"of a stopped machine", func(s *scene) {
			changed(1)(s)
			s.stop(1)
		}, "StartMachine sky-x-1", "MachineStopped", ""},
		{"of a machine that the cloud cannot look up", func(s *scene) {
			changed(1)(s)
			s.w.Listed[1].Unknown = true
		}, "", "", ""},
		{"the head's, and a worker's RKE2 is dead",
			func(s *scene) { changed(0)(s); s.unit(1, "failed"); s.notReady(1, time.Hour) },
			"RecordAddress sky-x-0", "sky-x-1 UnitDead: it waits for the head", ""},
		{"after a recent failure",
			func(s *scene) { changed(1)(s); s.repaired(api.ActionRecordAddress, 1, 2*time.Minute, "not recognised") },
			"", "AddressChanged: its address is restored, or the new one is recorded at 12:04:00Z", ""},
		{"after repeated failures, and its Node is not Ready", func(s *scene) {
			changed(1)(s)
			s.notReady(1, time.Hour)
			s.unreachable(1)
			for i := range 5 {
				s.repaired(api.ActionRecordAddress, 1, time.Duration(5-i)*time.Hour, "not recognised")
			}
		}, "Replace sky-x-1", "sky-x-1 NodeNotReady", ""},
	})
}

func TestOutdatedConfigurations(t *testing.T) {
	moved := func(i int) func(*scene) {
		return func(s *scene) {
			s.at()
			for j := range s.c.Status.Machines {
				s.configured(j)
			}
			m := s.record(i)
			m.Address, m.PrivateAddress = fmt.Sprintf("20.0.1.%d", i), fmt.Sprintf("10.0.1.%d", i)
			s.list(i, m.Address, m.PrivateAddress)
		}
	}
	hold(t, []rule{
		{"all are up to date", func(s *scene) { s.at(); s.configured(0); s.configured(1) }, "", "", ""},
		{"a worker's", moved(1), "Reconfigure sky-x-1", "sky-x-1 ConfigOutdated: RKE2 is reconfigured and restarted",
			""},
		{"the head's comes first", func(s *scene) {
			moved(0)(s)
			s.silent()
		}, "Reconfigure sky-x-0", "sky-x-1 ConfigOutdated: RKE2 is reconfigured once the Kubernetes API answers",
			""},
		{"the head's is done", func(s *scene) {
			moved(0)(s)
			s.configured(0)
		}, "Reconfigure sky-x-1, Reconfigure sky-x-2, Reconfigure sky-x-3", "", ""},
		{"the head's while the API answers", moved(0), "Reconfigure sky-x-0",
			"sky-x-1 ConfigOutdated: it waits for the head", ""},
		{"a worker's, after repeated failures", func(s *scene) {
			moved(1)(s)
			s.notReady(1, time.Hour)
			s.unreachable(1)
			for i := range 5 {
				s.repaired(api.ActionReconfigure, 1, time.Duration(5-i)*time.Hour, "SSH does not answer")
			}
		}, "Replace sky-x-1", "", ""},
	})
}

// TestMovedMachinesAreFoundAgain gives machines new addresses, or those of other machines, at any time. The records and
// the configuration of RKE2 must follow.
func TestMovedMachinesAreFoundAgain(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := newScene(1 + r.IntN(6))
		s.at()
		if r.IntN(2) == 0 { // an older version did not record the configurations
			for i := range s.c.Status.Machines {
				s.configured(i)
			}
		}
		where, config := map[int]string{}, map[int]string{}
		for i := range s.c.Status.Machines {
			where[i], config[i] = s.record(i).PrivateAddress, s.record(i).ConfigAddresses(s.record(0))
		}
		for _, i := range r.Perm(len(where))[:r.IntN(len(where)+1)] {
			j := r.IntN(len(where) + 3)
			if j < len(where) {
				where[i], where[j] = where[j], where[i]
			} else {
				where[i] = fmt.Sprintf("10.0.1.%d", i)
			}
		}
		rounds := 0
		for ; rounds < 6; rounds++ {
			s.seeMoved(where, config)
			d := check(t, s)
			if len(d.Actions) == 0 {
				break
			}
			for _, a := range d.Actions {
				s.carryOutMove(a, where, config)
			}
		}
		for i := range where {
			if m := s.record(i); rounds == 6 || m.PrivateAddress != where[i] ||
				config[i] != m.ConfigAddresses(s.record(0)) {
				t.Fatalf("seed %d: after %d rounds machine %d is at %s, recorded at %s, configured for %q", seed,
					rounds,
					i, where[i], m.PrivateAddress, config[i])
			}
		}
	}
}

// seeMoved lists machines at their addresses. The API answers if the head is at its recorded address and configured for
// it; the same holds for Nodes.
func (s *scene) seeMoved(where, config map[int]string) {
	head := s.record(0)
	s.w.At = s.w.At.Add(time.Hour)
	s.w.APIError, s.w.Nodes, s.w.Units = "", map[string]plan.Node{}, map[int]plan.RKE2Unit{}
	for i := range s.c.Status.Machines {
		m := s.record(i)
		s.list(i, "20"+where[i][2:], where[i])
		fits := m.PrivateAddress == where[i] && config[i] == m.ConfigAddresses(head)
		s.w.Nodes[m.NodeName] = plan.Node{Ready: fits, Since: s.w.At.Add(-time.Minute), Kubelet: release}
		if i == 0 && !fits {
			s.w.APIError = "connection refused"
		}
		if !fits {
			s.w.Units[i] = plan.RKE2Unit{Error: "another host key"}
		}
	}
}

// carryOutMove has the effect of the activities.
func (s *scene) carryOutMove(a api.Action, where, config map[int]string) {
	m := s.record(a.Index)
	switch a.Kind {
	case api.ActionRecordAddress:
		keep := func(m *api.Machine) {
			if m.ConfiguredFor == "" {
				m.ConfiguredFor = m.ConfigAddresses(s.record(0))
			}
		}
		if a.Index == 0 {
			for i := range s.c.Status.Machines {
				keep(s.record(i))
			}
		}
		keep(m)
		m.Address, m.PrivateAddress = "20"+where[a.Index][2:], where[a.Index]
	case api.ActionReconfigure:
		if m.PrivateAddress == where[a.Index] {
			config[a.Index] = m.ConfigAddresses(s.record(0))
			m.ConfiguredFor = config[a.Index]
		}
	}
}
