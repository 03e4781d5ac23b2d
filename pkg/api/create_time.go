package api

import (
	"cmp"
	"slices"
	"time"
)

// CreateTime is how long a create of that many machines took, from its acceptance to READY.
type CreateTime struct {
	Machines int `json:"machines"`
	Seconds  int `json:"seconds"`
}

// CreateEstimate is how long a create is expected to take, and from how many earlier creates that is known.
type CreateEstimate struct {
	Takes time.Duration
	From  int
}

// MeasureCreate returns how long the create took that has just made the cluster READY. It is false if the cluster was
// READY before, or if the create failed in between: then that says nothing about other creates.
func (s *ClusterStatus) MeasureCreate() (time.Duration, bool) {
	n := len(s.Transitions)
	if n < 2 || s.Transitions[n-1].Phase != PhaseReady {
		return 0, false
	}
	for i := n - 2; i >= 0; i-- {
		switch t := s.Transitions[i]; {
		case t.Phase == PhaseInit:
			return s.Transitions[n-1].At.Sub(t.At), t.Reason == "" && i == 0
		case t.Phase != PhaseProvisioning:
			return 0, false
		}
	}
	return 0, false
}

// FindCreateStart returns when the create that runs was accepted; zero if none runs.
func (s *ClusterStatus) FindCreateStart() time.Time {
	for _, t := range slices.Backward(s.Transitions) {
		switch t.Phase {
		case PhaseInit:
			return t.At
		case PhaseProvisioning:
		default:
			return time.Time{}
		}
	}
	return time.Time{}
}

// EstimateCreate estimates the time of a create from those of earlier ones on the same cloud: it is the median of those
// with the number of machines that is nearest. It is empty if nothing is known.
func EstimateCreate(earlier []CreateTime, machines int) CreateEstimate {
	distance := func(t CreateTime) int { return max(t.Machines-machines, machines-t.Machines) }
	if len(earlier) == 0 {
		return CreateEstimate{}
	}
	nearest := distance(slices.MinFunc(earlier, func(a, b CreateTime) int {
		return cmp.Compare(distance(a), distance(b))
	}))
	var seconds []int
	for _, t := range earlier {
		if distance(t) == nearest {
			seconds = append(seconds, t.Seconds)
		}
	}
	slices.Sort(seconds)
	return CreateEstimate{Takes: time.Duration(seconds[len(seconds)/2]) * time.Second, From: len(seconds)}
}
