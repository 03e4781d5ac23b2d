package api

import "time"

// Cost is what a machine has cost by now, in US dollars: from the moment its launch was asked for until the cloud's
// listing no longer had it. The cloud's own bill may differ by how it rounds, and by what it takes for disks and traffic.
func (m Machine) Cost(now time.Time) float64 {
	if m.LaunchedAt.IsZero() {
		return 0
	}
	end := now
	if !m.GoneAt.IsZero() {
		end = m.GoneAt
	}
	return max(end.Sub(m.LaunchedAt), 0).Hours() * m.Placement.PricePerMachine
}

// CostSoFar is what a cluster has cost by now, in US dollars, with the machines that are gone or that others have taken the
// place of. The machines must have been read along.
func (s ClusterStatus) CostSoFar(now time.Time) float64 {
	sum := 0.0
	for _, m := range s.Machines {
		sum += m.SpentBefore + m.Cost(now)
	}
	return sum
}
