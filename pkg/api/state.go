package api

import "time"

// IsKnown says whether p is a phase at all.
func (p Phase) IsKnown() bool {
	switch p {
	case PhaseInit, PhaseProvisioning, PhaseReady, PhaseError, PhaseDeleting:
		return true
	}
	return false
}

// IsBusy says that an operation works on a cluster in this phase, or has yet to finish.
func (p Phase) IsBusy() bool { return p == PhaseProvisioning || p == PhaseDeleting }

// MayExist says that the cloud may have a machine in this state, and bill it: from the moment its launch is asked for
// until the cloud's own listing no longer has it.
func (s MachineState) MayExist() bool {
	switch s {
	case MachineReserved, MachineGone, "":
		return false
	}
	return true
}

// SetState moves a machine to a state and records when it first got there; step is what is being done now, in words.
func (m *Machine) SetState(s MachineState, step string, now time.Time) {
	if m.State != s || m.Step != step {
		m.Since = now
	}
	if m.State != s {
		m.Trouble = ""
	}
	m.State, m.Step = s, step
	stamp := map[MachineState]*time.Time{
		MachineLaunching: &m.LaunchedAt, MachineReady: &m.ReadyAt, MachineGone: &m.GoneAt,
	}[s]
	if stamp != nil && stamp.IsZero() {
		*stamp = now
	}
}

// SetTrouble records that something failed which is tried again, and why. It began when it began.
func (m *Machine) SetTrouble(doing, why string) {
	m.Trouble = why
	m.Step = doing + " failed, and is tried again: " + why
}

// SetProgress records how far something has come that began earlier; where it has failed before, why stays to be seen.
func (m *Machine) SetProgress(doing string) {
	if m.Step = doing; m.Trouble != "" {
		m.Step += " (tried again, since it failed: " + m.Trouble + ")"
	}
}

// FindCondition is the condition of that type, nil where it was never set.
func (s *ClusterStatus) FindCondition(t ConditionType) *Condition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// CostPerHour is what a cluster costs now, in US dollars: the price of every machine that may exist. Where the machines
// were not read along it is that of the placement, if the phase means that its machines are there.
func (s ClusterStatus) CostPerHour() float64 {
	if len(s.Machines) > 0 {
		sum := 0.0
		for _, m := range s.Machines {
			if m.State.MayExist() {
				sum += m.Placement.PricePerMachine
			}
		}
		return sum
	}
	there := s.Phase == PhaseReady || s.Phase.IsBusy() || s.Phase == PhaseError && s.KeepOnFailure
	if s.Placement == nil || !there {
		return 0
	}
	return s.Placement.PriceTotal
}
