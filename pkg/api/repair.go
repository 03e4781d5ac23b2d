package api

import (
	"slices"
	"strings"
	"time"
)

// Repair records that an action started, and its result. The planner computes the back-off of repairs from these.
type Repair struct {
	// ID identifies the repair, so that one which starts twice is recorded once.
	ID     string    `json:"id"`
	Action Action    `json:"action"`
	At     time.Time `json:"at"`
	// Ended is zero while it runs, or if the process that ran it died.
	Ended time.Time `json:"ended,omitzero"`
	// Error is why it failed; empty if it did not.
	Error string `json:"error,omitempty"`
}

// The record keeps the last shownRepairs, and of the last day up to pacedRepairs with the same RepairKey, because the
// back-off of repairs depends on them. maxRepairs bounds the size of the object.
const (
	shownRepairs = 50
	pacedRepairs = 15
	maxRepairs   = 1000
	// maxRepairText is how many bytes of a message or an error are kept. The object has to stay well below the 1.5 MiB
	// that etcd accepts; events have the whole text.
	maxRepairText = 400
)

// BeginRepair records that a repair has started.
func (s *ClusterStatus) BeginRepair(r Repair) { s.BeginRepairs([]Repair{r}) }

// BeginRepairs records that repairs have started.
func (s *ClusterStatus) BeginRepairs(all []Repair) {
	known := map[string]bool{}
	for _, old := range s.Repairs {
		known[old.ID] = true
	}
	for _, r := range all {
		if !known[r.ID] {
			known[r.ID] = true
			r.Action.Message = shortenText(r.Action.Message)
			s.Repairs = append(s.Repairs, r)
		}
	}
	if len(all) > 0 && len(s.Repairs) > shownRepairs {
		s.forgetRepairs(all[len(all)-1].At.Add(-24 * time.Hour))
	}
}

// forgetRepairs removes the repairs that no back-off depends on.
func (s *ClusterStatus) forgetRepairs(before time.Time) {
	same := map[Action]int{}
	var kept []Repair
	for i := len(s.Repairs) - 1; i >= 0; i-- {
		r := s.Repairs[i]
		same[r.Action.RepairKey()]++
		shown := len(s.Repairs)-i <= shownRepairs
		if shown || r.At.After(before) && same[r.Action.RepairKey()] <= pacedRepairs && len(kept) < maxRepairs {
			kept = append(kept, r)
		}
	}
	slices.Reverse(kept)
	s.Repairs = kept
}

// EndRepair records the result of a repair.
func (s *ClusterStatus) EndRepair(id, failure string, now time.Time) {
	for i := range s.Repairs {
		if s.Repairs[i].ID == id {
			s.Repairs[i].Ended, s.Repairs[i].Error = now, shortenText(failure)
		}
	}
}

// IsFor reports whether the repair was started for an action's message. The record may have only the start of it.
func (r Repair) IsFor(message string) bool {
	return r.Action.Message == message || r.Action.Message == shortenText(message)
}

func shortenText(s string) string {
	if len(s) <= maxRepairText {
		return s
	}
	return strings.ToValidUTF8(s[:maxRepairText], "") + " …"
}
