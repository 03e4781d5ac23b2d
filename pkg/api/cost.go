package api

import "time"

// CostUntil is what a machine has cost until now, in US dollars, from the launch to the end that the cloud reports. If
// the cloud reports none, it counts from the request of the launch until the cloud no longer lists the machine, and
// IsCostEstimated is true. The cloud's bill may differ by rounding, and by the price of disks and traffic.
func (m Machine) CostUntil(now time.Time) float64 {
	from, until := m.LaunchedAt, now
	if !m.BilledFrom.IsZero() {
		from = m.BilledFrom
	}
	switch {
	case from.IsZero():
		return 0
	case !m.BilledUntil.IsZero():
		until = m.BilledUntil
	case !m.GoneAt.IsZero():
		until = m.GoneAt
	}
	return max(until.Sub(from), 0).Hours() * m.Placement.PricePerMachine
}

// IsCostEstimated reports whether a time behind CostUntil is not the cloud's.
func (m Machine) IsCostEstimated() bool {
	if m.Placement.PricePerMachine <= 0 || m.LaunchedAt.IsZero() && m.BilledFrom.IsZero() {
		return false
	}
	return m.BilledFrom.IsZero() || !m.GoneAt.IsZero() && m.BilledUntil.IsZero()
}

// SucceedMachine makes the machine the next incarnation of an earlier one: it stays in its pool, is still to leave if
// that was, and takes over its cost.
func (m *Machine) SucceedMachine(old Machine, now time.Time) {
	m.Role, m.Pool, m.Leaving = old.Role, old.PoolName(), old.Leaving
	m.Replacement = old.Replacement || !old.ReadyAt.IsZero() || old.State == MachineReady
	m.CarryOverCost(old, now)
}

// CarryOverCost adds the cost of the machine that this one replaces.
func (m *Machine) CarryOverCost(old Machine, now time.Time) {
	m.SpentBefore = old.SpentBefore + old.CostUntil(now)
	m.SpentEstimated = old.SpentEstimated || old.IsCostEstimated()
}

// AddRemovedCost adds the cost of a machine that is gone and whose record is removed.
func (s *ClusterStatus) AddRemovedCost(m Machine) {
	s.RemovedCost += m.SpentBefore + m.CostUntil(m.GoneAt)
	s.RemovedCostEstimated = s.RemovedCostEstimated || m.SpentEstimated || m.IsCostEstimated()
}

// CostSoFar is what a cluster has cost until now in US dollars, including machines that are gone or were replaced. The
// machines must have been read with the cluster.
func (s ClusterStatus) CostSoFar(now time.Time) float64 {
	sum := s.RemovedCost
	for _, m := range s.Machines {
		sum += m.SpentBefore + m.CostUntil(now)
	}
	return sum
}

// IsCostEstimated reports whether a time behind CostSoFar is not the cloud's.
func (s ClusterStatus) IsCostEstimated() bool {
	if s.RemovedCostEstimated {
		return true
	}
	for _, m := range s.Machines {
		if m.SpentEstimated || m.IsCostEstimated() {
			return true
		}
	}
	return false
}

// CostPerHour is what a cluster costs now in US dollars: the price of every machine that may exist. If the machines
// were not read with the cluster, it is the price of the placement in a phase in which machines exist.
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
