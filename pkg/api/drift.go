package api

import (
	"fmt"
	"time"
)

// Drift is a difference between the record of a cluster in etcd and what a sweep observed.
type Drift struct {
	Machine string `json:"machine,omitempty"`
	// Pool is set if the drift concerns no single machine of it.
	Pool    string      `json:"pool,omitempty"`
	Reason  DriftReason `json:"reason"`
	Message string      `json:"message"`
	// Since is when a sweep first observed it.
	Since time.Time `json:"since"`
	// Next says, for people, what skyctl does about it.
	Next string `json:"next,omitempty"`
}

// DriftReason is the kind of a drift.
type DriftReason string

// The kinds of drift.
const (
	DriftMachineGone    DriftReason = "MachineGone"    // the cloud no longer lists it
	DriftMachineStopped DriftReason = "MachineStopped" // the cloud says that it is stopped
	// the cloud lists it at another address than the recorded one
	DriftAddressChanged DriftReason = "AddressChanged"
	DriftConfigOutdated DriftReason = "ConfigOutdated" // RKE2's configuration on it has earlier addresses
	// it has the cluster's labels, and the cluster has no such machine
	DriftMachineExtra DriftReason = "MachineExtra"
	// name, labels and id do not fit together: a copy, or a renamed machine; skyctl does not change it
	DriftMachineConflict DriftReason = "MachineConflict"
	DriftMachineUnready  DriftReason = "MachineUnready"  // it exists, but was never brought up completely
	DriftMachineMissing  DriftReason = "MachineMissing"  // a pool has fewer Ready machines than replicas
	DriftMachineSurplus  DriftReason = "MachineSurplus"  // it is to be removed for good
	DriftReplaceAsked    DriftReason = "ReplaceAsked"    // a person asked for another machine in its place
	DriftMachineOutdated DriftReason = "MachineOutdated" // its pool has another machine spec than it
	// its Node lacks wanted labels or taints, or has earlier ones
	DriftNodeOutdated   DriftReason = "NodeOutdated"
	DriftUnitDead       DriftReason = "UnitDead"          // RKE2 does not run on it
	DriftNodeNotReady   DriftReason = "NodeNotReady"      // its Node is not Ready
	DriftNodeMissing    DriftReason = "NodeMissing"       // its Node was deleted
	DriftNodeCordoned   DriftReason = "NodeCordoned"      // its Node is cordoned; only reported
	DriftNodePressure   DriftReason = "NodePressure"      // its Node is Ready, short of disk or memory; only reported
	DriftPowerOff       DriftReason = "PowerOffPending"   // it is Ready, and its power-off timer runs
	DriftNodeExtra      DriftReason = "NodeExtra"         // the Node of a machine that no longer exists
	DriftVersionSkew    DriftReason = "VersionSkew"       // its kubelet has another version; only reported
	DriftAPISilent      DriftReason = "APISilent"         // the Kubernetes API does not answer
	DriftAPIUnreachable DriftReason = "APIUnreachable"    // the API answers on the head, but not from skyd
	DriftHeadLost       DriftReason = "HeadLost"          // the head is gone, with the cluster's state
	DriftCredentialsAge DriftReason = "CredentialsExpire" // the kubeconfig or certificates expire soon
	// the kubeconfig file is missing, damaged, or of another cluster
	DriftKubeconfigFile DriftReason = "KubeconfigMissing"
	DriftKeysMissing    DriftReason = "KeysMissing"  // etcd lacks secrets that the cluster needs
	DriftGPU            DriftReason = "GPUNotReady"  // the GPU stack differs from what was installed
	DriftNeverStarted   DriftReason = "NeverStarted" // no operation runs on a cluster that has to be provisioned
	DriftNeverDeleted   DriftReason = "NeverDeleted" // no operation runs on a cluster that has to be deleted
	DriftLeftover       DriftReason = "Leftover"     // a machine of a failed create that should be gone
	// the record in etcd is invalid; skyctl does not change the cluster
	DriftInvalid DriftReason = "Invalid"
)

// IsOnlyReported reports whether skyctl does nothing about a drift of this kind, because a person has to.
func (r DriftReason) IsOnlyReported() bool {
	switch r {
	case DriftNodeCordoned, DriftVersionSkew, DriftNodePressure, DriftInvalid:
		return true
	}
	return false
}

// IsChange reports whether a drift of this kind is no trouble: a person changed the spec, and the machines follow.
func (r DriftReason) IsChange() bool {
	switch r {
	case DriftMachineMissing, DriftMachineSurplus, DriftReplaceAsked, DriftMachineOutdated, DriftNodeOutdated:
		return true
	}
	return false
}

// SetDrift replaces the drift, and keeps the Since of each that was there before.
func (s *ClusterStatus) SetDrift(observed []Drift, now time.Time) {
	for i := range observed {
		observed[i].Since = now
		for _, old := range s.Drift {
			if old.IsSame(observed[i]) {
				observed[i].Since = old.Since
			}
		}
	}
	s.Drift = observed
}

// IsSame reports whether two drifts differ in nothing but their texts and times.
func (d Drift) IsSame(other Drift) bool {
	return d.Machine == other.Machine && d.Pool == other.Pool && d.Reason == other.Reason
}

func (d Drift) String() string {
	if d.Machine == "" {
		return fmt.Sprintf("%s: %s", d.Reason, d.Message)
	}
	return fmt.Sprintf("%s: %s: %s", d.Machine, d.Reason, d.Message)
}
