package api

import (
	"slices"
	"strings"
	"time"
)

// Condition is one aspect of a cluster's state. Provision, describe and the sweep share the names.
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
	// CreateBegun is False while a create cannot request machines, for example because the release source does not
	// answer. Message says why. It is removed afterwards.
	CreateBegun       ConditionType = "CreateBegun"
	MachinesLaunched  ConditionType = "MachinesLaunched"
	MachinesPrepared  ConditionType = "MachinesPrepared"
	ControlPlaneReady ConditionType = "ControlPlaneReady"
	NodesReady        ConditionType = "NodesReady"
	// AddOnsReady: pods can run as usual: the cloud controller has initialized all Nodes, and CoreDNS serves if the
	// cluster has it. A create waits for it only for some minutes.
	AddOnsReady ConditionType = "AddOnsReady"
	// GPUReady: every node that should have accelerators offers them.
	GPUReady ConditionType = "GPUReady"
)

// The conditions that sweeps keep up to date.
const (
	// Reachable: the cloud answered about the cluster's machines. If it is Unknown, skyctl does not change the cluster.
	Reachable ConditionType = "Reachable"
	// InSync: the machines and nodes are as recorded in etcd.
	InSync ConditionType = "InSync"
)

// NewAddOnsCondition returns the condition AddOnsReady of a cluster that lacks these add-ons.
func NewAddOnsCondition(missing []string) Condition {
	if len(missing) == 0 {
		return Condition{Type: AddOnsReady, Status: ConditionTrue}
	}
	return Condition{Type: AddOnsReady, Status: ConditionFalse, Reason: "Missing", Message: strings.Join(missing, "; ")}
}

// SetCondition sets a condition. LastTransitionTime changes only with the status.
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

// RemoveCondition removes a condition.
func (s *ClusterStatus) RemoveCondition(t ConditionType) {
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c Condition) bool { return c.Type == t })
}

// FindCondition returns the condition of a type, or nil if it was never set.
func (s *ClusterStatus) FindCondition(t ConditionType) *Condition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}
