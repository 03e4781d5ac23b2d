package api

import "time"

// Phase is the stage of a cluster's life.
type Phase string

// The phases of a cluster.
const (
	PhaseInit         Phase = "INIT"
	PhaseProvisioning Phase = "PROVISIONING"
	PhaseReady        Phase = "READY"
	PhaseError        Phase = "ERROR"
	PhaseDeleting     Phase = "DELETING"
	// PhaseStopped: a snapshot is kept off the machines, and the machines are ended, or about to be.
	PhaseStopped Phase = "STOPPED"
)

// IsKnown reports whether p is a phase.
func (p Phase) IsKnown() bool {
	switch p {
	case PhaseInit, PhaseProvisioning, PhaseReady, PhaseError, PhaseDeleting, PhaseStopped:
		return true
	}
	return false
}

// IsBusy reports whether an operation runs on a cluster in this phase, or still has to finish.
func (p Phase) IsBusy() bool { return p == PhaseProvisioning || p == PhaseDeleting }

// SetPhase moves the cluster to a phase and records when. To set the present phase changes nothing.
func (s *ClusterStatus) SetPhase(p Phase, reason string, now time.Time) {
	if s.Phase == p {
		return
	}
	s.Phase = p
	s.Transitions = append(s.Transitions, Transition{Phase: p, At: now, Reason: reason})
	if n := len(s.Transitions); n > maxTransitions {
		s.Transitions = s.Transitions[n-maxTransitions:]
	}
}

// maxTransitions bounds the size of the object. The oldest transitions are removed first.
const maxTransitions = 50

// WasReady reports whether the cluster has been READY since it was last created. Its machines may then run workloads,
// even if it is in ERROR now.
func (s *ClusterStatus) WasReady() bool {
	for i := len(s.Transitions) - 1; i >= 0; i-- {
		switch s.Transitions[i].Phase {
		case PhaseReady:
			return true
		case PhaseInit:
			return false
		}
	}
	return false
}

// CanBeRepaired reports whether a repair can continue with a cluster in ERROR: a repair or its GPU stack failed, and no
// machine was terminated. After a restore that failed, only a restore can continue.
func (s *ClusterStatus) CanBeRepaired() bool {
	return s.Phase == PhaseError && s.Restore == nil && (s.WasReady() || s.Failure != nil && s.Failure.Step == StepGPU)
}

// Transition records when a cluster entered a phase.
type Transition struct {
	Phase  Phase     `json:"phase"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}
