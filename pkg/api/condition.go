package api

import (
	"slices"
	"time"
)

// Condition is one aspect of a cluster's state, named so that provision, describe and the sweep speak of the same
// thing.
type Condition struct {
	Type    ConditionType   `json:"type"`
	Status  ConditionStatus `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Message string          `json:"message,omitempty"`
	// LastTransitionTime is when Status last changed.
	LastTransitionTime time.Time `json:"last_transition_time"`
}

// ConditionStatus is True, False or Unknown.
type ConditionStatus string

// The values of a ConditionStatus.
const (
	ConditionTrue    ConditionStatus = "True"
	ConditionFalse   ConditionStatus = "False"
	ConditionUnknown ConditionStatus = "Unknown"
)

// ConditionType names a condition.
type ConditionType string

// The conditions of a cluster, in the order in which a create makes them true.
const (
	// CreateBegun is False while something keeps a create from asking for machines, such as a release source that does
	// not answer; Message says what. It is taken away once that is over.
	CreateBegun       ConditionType = "CreateBegun"
	MachinesLaunched  ConditionType = "MachinesLaunched"
	MachinesPrepared  ConditionType = "MachinesPrepared"
	ControlPlaneReady ConditionType = "ControlPlaneReady"
	NodesReady        ConditionType = "NodesReady"
	// GPUReady: every node that should have accelerators offers them.
	GPUReady ConditionType = "GPUReady"
)

// The conditions that sweeps keep up to date.
const (
	// Reachable: the cloud can be asked about the cluster's machines. Unknown where it can't; then nothing is touched.
	Reachable ConditionType = "Reachable"
	// InSync: what is there is what etcd says.
	InSync ConditionType = "InSync"
)

// SetCondition sets a condition, moving LastTransitionTime only where the status changes.
func (s *ClusterStatus) SetCondition(c Condition, now time.Time) {
	c.LastTransitionTime = now
	for i, old := range s.Conditions {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		s.Conditions[i] = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}

// RemoveCondition takes a condition away, as if it had never been set.
func (s *ClusterStatus) RemoveCondition(t ConditionType) {
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c Condition) bool { return c.Type == t })
}

// SetPhase moves the cluster to a phase and records when; setting the phase it is in changes nothing.
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

// maxTransitions bounds the object's growth over a long life; the oldest go first.
const maxTransitions = 50
