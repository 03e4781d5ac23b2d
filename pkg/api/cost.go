package api

import "time"

// CostUntil is what a machine has cost by now, in US dollars: from its launch to its end as the cloud tells them, and
// otherwise from the moment its launch was asked for until the cloud's listing no longer had it, which IsCostEstimated
// says. The cloud's own bill may differ by how it rounds, and by what it takes for disks and traffic.
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

// IsCostEstimated says that a time which Cost counts with is not the cloud's own.
func (m Machine) IsCostEstimated() bool {
	if m.Placement.PricePerMachine <= 0 || m.LaunchedAt.IsZero() && m.BilledFrom.IsZero() {
		return false
	}
	return m.BilledFrom.IsZero() || !m.GoneAt.IsZero() && m.BilledUntil.IsZero()
}

// CarryOverCost takes over what the machine has cost whose place this one takes.
func (m *Machine) CarryOverCost(old Machine, now time.Time) {
	m.SpentBefore = old.SpentBefore + old.CostUntil(now)
	m.SpentEstimated = old.SpentEstimated || old.IsCostEstimated()
}

// CostSoFar is what a cluster has cost by now, in US dollars, with the machines that are gone or that others have taken
// the place of. The machines must have been read along.
func (s ClusterStatus) CostSoFar(now time.Time) float64 {
	sum := 0.0
	for _, m := range s.Machines {
		sum += m.SpentBefore + m.CostUntil(now)
	}
	return sum
}

// IsCostEstimated says that CostSoFar counts with times that are not the cloud's own.
func (s ClusterStatus) IsCostEstimated() bool {
	for _, m := range s.Machines {
		if m.SpentEstimated || m.IsCostEstimated() {
			return true
		}
	}
	return false
}
