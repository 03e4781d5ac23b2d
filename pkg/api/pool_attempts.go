package api

import (
	"slices"
	"time"
)

// PoolAttemptsKept is how long a failed placement counts for a pool: afterwards the cloud may have machines again.
const PoolAttemptsKept = time.Hour

// IsSamePlace reports whether two placements ask the cloud for the same kind of machine, whatever it costs now.
func (p Placement) IsSamePlace(o Placement) bool {
	return p.Cloud == o.Cloud && p.Region == o.Region && p.Zone == o.Zone && p.InstanceType == o.InstanceType &&
		p.OnDemand == o.OnDemand
}

// Describe names a placement in a sentence, such as "c6i.large in aws/us-east-1/us-east-1a at full price".
func (p Placement) Describe() string {
	text := p.Cloud + "/" + p.Region
	if p.Zone != "" {
		text += "/" + p.Zone
	}
	if p.InstanceType != "" {
		text = p.InstanceType + " in " + text
	}
	if p.OnDemand {
		text += " at full price"
	}
	return text
}

// FindPoolStatus returns what is known of a pool beside its machines; nil if nothing is.
func (s *ClusterStatus) FindPoolStatus(name string) *PoolStatus {
	i := slices.IndexFunc(s.Pools, func(p PoolStatus) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Pools[i]
}

// AddPoolAttempt records a placement that could not give a pool a machine. It forgets earlier failures of the same
// placement, and those that no longer count.
func (s *ClusterStatus) AddPoolAttempt(pool string, failed FailedPlacement) {
	status := s.FindPoolStatus(pool)
	if status == nil {
		s.Pools = append(s.Pools, PoolStatus{Name: pool})
		status = &s.Pools[len(s.Pools)-1]
	}
	kept := slices.DeleteFunc(slices.Clone(status.Attempts), func(a FailedPlacement) bool {
		return a.Placement.IsSamePlace(failed.Placement) || failed.At.Sub(a.At) >= PoolAttemptsKept
	})
	status.Attempts = append(kept, failed)
}

// RecentPoolAttempts returns the failed placements of a pool that count now, oldest first.
func (s *ClusterStatus) RecentPoolAttempts(pool string, now time.Time) []FailedPlacement {
	status := s.FindPoolStatus(pool)
	if status == nil {
		return nil
	}
	var recent []FailedPlacement
	for _, a := range status.Attempts {
		if now.Sub(a.At) < PoolAttemptsKept {
			recent = append(recent, a)
		}
	}
	return recent
}
