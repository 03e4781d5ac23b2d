package api

import (
	"fmt"
	"slices"
	"time"
)

// Drift is a difference between what etcd says of a cluster and what a sweep saw of it.
type Drift struct {
	Machine string      `json:"machine,omitempty"`
	Reason  DriftReason `json:"reason"`
	Message string      `json:"message"`
	// Since is when it was first seen.
	Since time.Time `json:"since"`
	// Next says, in words for a person, what is done about it.
	Next string `json:"next,omitempty"`
}

// DriftReason is the kind of a drift.
type DriftReason string

// The kinds of drift.
const (
	DriftMachineGone    DriftReason = "MachineGone"    // the cloud does not list it any more
	DriftMachineStopped DriftReason = "MachineStopped" // the cloud says that it was stopped
	// the cloud lists it at another address than the one on record
	DriftAddressChanged DriftReason = "AddressChanged"
	DriftConfigOutdated DriftReason = "ConfigOutdated" // RKE2's configuration on it holds addresses of before
	DriftMachineExtra   DriftReason = "MachineExtra"   // a machine of the cluster's that has no place in it
	// name, labels and id do not fit together: a copy, or one that was renamed; left alone
	DriftMachineConflict DriftReason = "MachineConflict"
	DriftMachineUnready  DriftReason = "MachineUnready"    // in place, and was never brought up to the end
	DriftUnitDead        DriftReason = "UnitDead"          // RKE2 does not run on it
	DriftNodeNotReady    DriftReason = "NodeNotReady"      // Kubernetes says that its Node is not Ready
	DriftNodeMissing     DriftReason = "NodeMissing"       // its Node was deleted
	DriftNodeCordoned    DriftReason = "NodeCordoned"      // somebody keeps pods off it; only reported
	DriftNodePressure    DriftReason = "NodePressure"      // Ready, and under pressure of disk or memory; only reported
	DriftPowerOff        DriftReason = "PowerOffPending"   // it is Ready, and would power itself off
	DriftNodeExtra       DriftReason = "NodeExtra"         // a Node of a machine that is no more
	DriftVersionSkew     DriftReason = "VersionSkew"       // its kubelet has another version; only reported
	DriftAPISilent       DriftReason = "APISilent"         // the Kubernetes API does not answer
	DriftAPIUnreachable  DriftReason = "APIUnreachable"    // it answers on the head itself, and not from here
	DriftHeadLost        DriftReason = "HeadLost"          // the head is gone, with the cluster's state
	DriftCredentialsAge  DriftReason = "CredentialsExpire" // the kubeconfig or certificates end soon
	DriftKubeconfigFile  DriftReason = "KubeconfigMissing" // the person's file is gone, cut, or leads elsewhere
	DriftKeysMissing     DriftReason = "KeysMissing"       // etcd lacks secrets that the cluster can't be without
	DriftGPU             DriftReason = "GPUNotReady"       // the GPU stack is not as it was installed
	DriftNeverStarted    DriftReason = "NeverStarted"      // nothing works on a cluster that is to be provisioned
	DriftNeverDeleted    DriftReason = "NeverDeleted"      // nothing works on a cluster that is to be deleted
	DriftLeftover        DriftReason = "Leftover"          // a machine of a failed create that should be gone
	DriftInvalid         DriftReason = "Invalid"           // the object in etcd makes no sense; it is left alone
)

// IsOnlyReported says that nothing is done about a drift of this kind: it is somebody's wish, or for a person to see
// to.
func (r DriftReason) IsOnlyReported() bool {
	switch r {
	case DriftNodeCordoned, DriftVersionSkew, DriftNodePressure, DriftInvalid:
		return true
	}
	return false
}

// ActionKind is what a repair does.
type ActionKind string

// The kinds of actions, in the order in which one decision's are carried out.
const (
	// ActionTerminate ends a machine that has no place in the cluster.
	ActionTerminate ActionKind = "Terminate"
	// ActionForgetNode removes the Node of a machine that is no more.
	ActionForgetNode ActionKind = "ForgetNode"
	// ActionRecordAddress has a machine be at its address again, where the cloud can, or records the one that it is at
	// now.
	ActionRecordAddress ActionKind = "RecordAddress"
	// ActionStartMachine starts a machine that was stopped.
	ActionStartMachine ActionKind = "StartMachine"
	// ActionReconfigure writes RKE2's configuration with the addresses of now, restarts it, and writes the kubeconfig
	// anew.
	ActionReconfigure ActionKind = "Reconfigure"
	// ActionRestart restarts RKE2 on a machine and waits for its Node.
	ActionRestart ActionKind = "Restart"
	// ActionReplace drains a worker, ends its machine, forgets its Node and brings up a new incarnation in its place.
	ActionReplace ActionKind = "Replace"
	// ActionBringUp goes on with a machine in its place that was never brought up to the end.
	ActionBringUp ActionKind = "BringUp"
	// ActionDisarm takes the power-off timer of a machine away that a repair which was cut off has left.
	ActionDisarm ActionKind = "Disarm"
	// ActionRestoreKeys brings back secrets that etcd has lost: a new SSH key through the Kubernetes API, tokens and
	// kubeconfig from the head.
	ActionRestoreKeys ActionKind = "RestoreKeys"
	// ActionRefresh fetches token and kubeconfig anew, with certificates that last.
	ActionRefresh ActionKind = "RefreshCredentials"
	// ActionWriteKubeconfig writes the person's kubeconfig file again.
	ActionWriteKubeconfig ActionKind = "WriteKubeconfig"
	// ActionGPU applies the GPU stack again and waits for it.
	ActionGPU ActionKind = "RepairGPU"
)

// Action is one thing to be done about a drift.
type Action struct {
	Kind ActionKind `json:"kind"`
	// Index, Machine and Incarnation name what it is done to; they are empty where it is the whole cluster.
	Index       int    `json:"index"`
	Machine     string `json:"machine,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	// ID is the cloud's own id of the machine; empty where the cloud has not told one.
	ID string `json:"id,omitempty"`
	// Node is the Node to forget, with ActionForgetNode.
	Node   string      `json:"node,omitempty"`
	Reason DriftReason `json:"reason"`
	// Message says why, in words for a person.
	Message string `json:"message"`
}

// RepairKey is the action without all that differs from one try to the next: two actions with the same target are of
// one kind and done to the same thing, which is a Node, a machine that has no place, a place whichever machine is in
// it, or the cluster.
func (a Action) RepairKey() Action {
	switch a.Kind {
	case ActionForgetNode:
		return Action{Kind: a.Kind, Node: a.Node}
	case ActionTerminate:
		return Action{Kind: a.Kind, Machine: a.Machine}
	}
	return Action{Kind: a.Kind, Index: a.Index}
}

// Repair records that an action was begun, and how it ended. The planner paces itself by these.
type Repair struct {
	// ID tells it from other repairs; the same one begun twice is one.
	ID     string    `json:"id"`
	Action Action    `json:"action"`
	At     time.Time `json:"at"`
	// Ended is zero while it is under way, or where nobody lived to say how it ended.
	Ended time.Time `json:"ended,omitzero"`
	// Error is why it failed; empty where it did not.
	Error string `json:"error,omitempty"`
}

// The record of repairs is what they are paced by, so that none may be forgotten that counts: it keeps the last
// shownRepairs in any case, and of those of the last day up to pacedRepairs of the same kind on the same thing. In all
// it has at most maxRepairs, which bounds the object's growth.
const (
	shownRepairs = 50
	pacedRepairs = 15
	maxRepairs   = 1000
)

// BeginRepair records that a repair has begun.
func (s *ClusterStatus) BeginRepair(r Repair) {
	for _, old := range s.Repairs {
		if old.ID == r.ID {
			return
		}
	}
	s.Repairs = append(s.Repairs, r)
	if len(s.Repairs) > shownRepairs {
		s.forgetRepairs(r.At.Add(-24 * time.Hour))
	}
}

// forgetRepairs takes from the record what nothing is paced by any more.
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

// EndRepair records how a repair ended.
func (s *ClusterStatus) EndRepair(id, failure string, now time.Time) {
	for i := range s.Repairs {
		if s.Repairs[i].ID == id {
			s.Repairs[i].Ended, s.Repairs[i].Error = now, failure
		}
	}
}

// WasReady says that the cluster has been READY since it was last created: its machines may hold somebody's work, even
// if it is in ERROR by now.
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

// CanBeRepaired says that a cluster in ERROR is one that a repair can take up again: a repair left it there, or its GPU
// stack, and nothing was terminated.
func (s *ClusterStatus) CanBeRepaired() bool {
	return s.Phase == PhaseError && (s.WasReady() || s.Failure != nil && s.Failure.Step == StepGPU)
}

// SetDrift takes over what was seen now, keeping since when each drift was there.
func (s *ClusterStatus) SetDrift(seen []Drift, now time.Time) {
	for i := range seen {
		seen[i].Since = now
		for _, old := range s.Drift {
			if old.Machine == seen[i].Machine && old.Reason == seen[i].Reason {
				seen[i].Since = old.Since
			}
		}
	}
	s.Drift = seen
}

func (d Drift) String() string {
	if d.Machine == "" {
		return fmt.Sprintf("%s: %s", d.Reason, d.Message)
	}
	return fmt.Sprintf("%s: %s: %s", d.Machine, d.Reason, d.Message)
}
