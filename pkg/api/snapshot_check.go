package api

import "time"

// SnapshotToCheck returns the snapshot of a cluster that its schedule wants verified now: the newest one that is kept,
// if the last verification of any of its snapshots is at least as long ago as the schedule says, and none is requested
// or under way. It is nil if none is due.
func SnapshotToCheck(policy SnapshotPolicy, all []Snapshot, now time.Time) *Snapshot {
	every := policy.VerifyInterval()
	if every <= 0 {
		return nil
	}
	for _, s := range all {
		if c := s.Check; c != nil && (c.IsDue() || now.Sub(c.At) < every) {
			return nil
		}
	}
	return NewestUsableSnapshot(all)
}

// RequestCheck asks for a verification. One that is under way answers the request.
func (s *Snapshot) RequestCheck(now time.Time) {
	if s.Check == nil {
		s.Check = &SnapshotCheck{}
	}
	s.Check.AskedAt = now
}
