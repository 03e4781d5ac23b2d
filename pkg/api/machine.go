package api

import (
	"fmt"
	"time"
)

// Role is what a machine does in its cluster.
type Role string

// The head runs the RKE2 server, workers run its agent.
const (
	RoleHead   Role = "head"
	RoleWorker Role = "worker"
)

// Machine is an index of a cluster and its present incarnation. It is recorded in etcd before it is launched.
type Machine struct {
	Index int `json:"index"`
	// Name is sky-<cluster>-<index>, the machine's name on the cloud. With Incarnation it makes launches idempotent.
	Name string `json:"name"`
	// Incarnation distinguishes this machine from an earlier one with the same name.
	Incarnation string `json:"incarnation"`
	// NodeName is Name-Incarnation, so that a replaced machine does not take over its predecessor's Node.
	NodeName string `json:"node_name"`
	Role     Role   `json:"role"`
	// Pool is the pool of a worker. Records of older versions lack it; PoolName returns it for all.
	Pool string `json:"pool,omitempty"`
	// Leaving is why the machine is to be removed for good; empty if it is not.
	Leaving LeaveReason `json:"leaving,omitempty"`
	// ReplaceAsked: a person asked for another machine with this index. Its successor does not have it.
	ReplaceAsked bool `json:"replace_asked,omitempty"`
	// Replacement: an earlier machine with this index has been Ready.
	Replacement bool `json:"replacement,omitempty"`

	// Spec is the machine spec with which the machine was planned and is launched. It is nil in records of older
	// versions: that of the machine's pool then counts.
	Spec *MachineSpec `json:"spec,omitempty"`
	// Node is what skyctl has given the machine's Node. It is nil in records of older versions: the labels and taints
	// of the machine's pool then.
	Node *NodeSettings `json:"node,omitempty"`
	// NodeTried is what the Node may have besides, from an update that has not ended; nil if there is none.
	NodeTried *NodeSettings `json:"node_tried,omitempty"`

	State MachineState `json:"state"`
	// Step says, for people, what happens to the machine now. Since is when it started.
	Step  string    `json:"step,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Trouble is why a step failed that is being retried. A new State clears it.
	Trouble string `json:"trouble,omitempty"`

	Placement Placement `json:"placement,omitzero"`
	// LaunchRef is the cloud's reference of a launch that runs.
	LaunchRef string `json:"launch_ref,omitempty"`
	// CloudID is the cloud's id of the machine.
	CloudID        string `json:"cloud_id,omitempty"`
	Address        string `json:"address,omitempty"`
	PrivateAddress string `json:"private_address,omitempty"`
	// MTU is the size of packets, in bytes, that the machine's network takes; 0 if it is unknown.
	MTU int `json:"mtu,omitempty"`
	// ConfiguredFor are the addresses in RKE2's configuration on the machine, in the form of ConfigAddresses. It is
	// empty before the configuration is written. It is also empty if an older version wrote it; the configuration then
	// has the recorded addresses.
	ConfiguredFor string `json:"configured_for,omitempty"`
	// SnapshotSchedule is the interval of RKE2's own snapshots in its configuration on a head, in the form of
	// SnapshotPolicy.Schedule. It is empty if an older version wrote it.
	SnapshotSchedule string `json:"snapshot_schedule,omitempty"`
	SSHUser          string `json:"ssh_user,omitempty"`
	SSHPort          int    `json:"ssh_port,omitempty"`
	// HostKey is the pinned SSH host key, in authorized_keys form.
	HostKey string `json:"host_key,omitempty"`
	// CPUs and MemoryGiB are what the cloud gave the machine; 0 if the machine itself reports them correctly.
	CPUs      float64 `json:"cpus,omitempty"`
	MemoryGiB float64 `json:"memory_gib,omitempty"`

	ReservedAt time.Time `json:"reserved_at,omitzero"`
	LaunchedAt time.Time `json:"launched_at,omitzero"`
	ReadyAt    time.Time `json:"ready_at,omitzero"`
	GoneAt     time.Time `json:"gone_at,omitzero"`
	// APIReadyAt is when the Kubernetes API of a head was ready after its server was started by a create or a restore.
	// It is zero until then, and in records of older versions.
	APIReadyAt time.Time `json:"api_ready_at,omitzero"`
	// BilledFrom and BilledUntil are the launch and end that the cloud reports; zero if it reported none.
	BilledFrom  time.Time `json:"billed_from,omitzero"`
	BilledUntil time.Time `json:"billed_until,omitzero"`
	// SpentBefore is what earlier machines with this index have cost in US dollars. SpentEstimated: the times behind
	// that, or behind the cost of this machine, are not the cloud's.
	SpentBefore    float64 `json:"spent_before,omitempty"`
	SpentEstimated bool    `json:"spent_estimated,omitempty"`
	// PowerOffAt is when the machine powers itself off unless its cluster is READY before; zero is never.
	PowerOffAt time.Time `json:"power_off_at,omitzero"`
}

// NodeSettings are labels and taints of a Node. A taint has the form KEY=VALUE:EFFECT or KEY:EFFECT.
type NodeSettings struct {
	Labels map[string]string `json:"labels,omitempty"`
	Taints []string          `json:"taints,omitempty"`
}

// LeaveReason is why a machine leaves its cluster.
type LeaveReason string

// The reasons to leave.
const (
	LeaveScaledDown  LeaveReason = "ScaledDown"  // its pool has more machines than replicas
	LeaveDeleted     LeaveReason = "Deleted"     // a person named it
	LeavePoolDeleted LeaveReason = "PoolDeleted" // its pool is gone
	LeaveOutdated    LeaveReason = "Outdated"    // it was never Ready, and its pool has another machine spec now
)

// MachineState is how far a machine has come.
type MachineState string

// The states of a machine, in the order in which a healthy one passes them. A terminated machine is Gone once the cloud
// no longer lists it.
const (
	MachineReserved    MachineState = "Reserved"
	MachineLaunching   MachineState = "Launching"
	MachineUp          MachineState = "Up"
	MachinePrepared    MachineState = "Prepared"
	MachineReady       MachineState = "Ready"
	MachineTerminating MachineState = "Terminating"
	MachineGone        MachineState = "Gone"
)

// MachineName is the name of the machine with an index.
func MachineName(cluster string, index int) string { return fmt.Sprintf("sky-%s-%d", cluster, index) }

// MayExist reports whether the cloud may have a machine in this state, and bill it: from the request of its launch
// until the cloud no longer lists it.
func (s MachineState) MayExist() bool {
	switch s {
	case MachineReserved, MachineGone, "":
		return false
	}
	return true
}

// WasBroughtUp reports whether the machine, or an earlier one with its index, has been Ready. One that never was is
// being added to its pool, which can take long if the cloud has no room.
func (m Machine) WasBroughtUp() bool {
	return m.State == MachineReady || !m.ReadyAt.IsZero() || m.Replacement
}

// SetState moves a machine to a state and records when it first reached the state. step says, for people, what happens
// now.
func (m *Machine) SetState(s MachineState, step string, now time.Time) {
	if m.State != s || m.Step != step {
		m.Since = now
	}
	if m.State != s {
		m.Trouble = ""
	}
	m.State, m.Step = s, step
	stamp := map[MachineState]*time.Time{
		MachineLaunching: &m.LaunchedAt, MachineReady: &m.ReadyAt, MachineGone: &m.GoneAt,
	}[s]
	if stamp != nil && stamp.IsZero() {
		*stamp = now
	}
}

// SetTrouble records why a step failed that is being retried. The start of the step does not change.
func (m *Machine) SetTrouble(doing, why string) {
	m.Trouble = why
	m.Step = doing + " failed, retrying: " + why
}

// SetProgress records the progress of a step. The reason of an earlier failure stays visible.
func (m *Machine) SetProgress(doing string) {
	if m.Step = doing; m.Trouble != "" {
		m.Step += " (retry after failure: " + m.Trouble + ")"
	}
}
