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

// Machine is one place of a cluster and the incarnation that fills it. It stands in etcd before anything is launched.
type Machine struct {
	Index int `json:"index"`
	// Name is sky-<cluster>-<index>: the machine's name on the cloud and its idempotency key.
	Name string `json:"name"`
	// Incarnation tells this machine from an earlier one of the same name.
	Incarnation string `json:"incarnation"`
	// NodeName is Name-Incarnation: a replaced machine never meets its predecessor's Node.
	NodeName string `json:"node_name"`
	Role     Role   `json:"role"`

	State MachineState `json:"state"`
	// Step is what is being done to the machine now, in words for a person; Since is when that began.
	Step  string    `json:"step,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Trouble is why that has failed so far, where it is tried again. It holds as long as the State does.
	Trouble string `json:"trouble,omitempty"`

	Placement Placement `json:"placement,omitzero"`
	// LaunchRef is the cloud's reference of a launch under way.
	LaunchRef string `json:"launch_ref,omitempty"`
	// CloudID is the cloud's own id of the machine.
	CloudID        string `json:"cloud_id,omitempty"`
	Address        string `json:"address,omitempty"`
	PrivateAddress string `json:"private_address,omitempty"`
	// ConfiguredFor are the addresses that RKE2's configuration on the machine holds, as ConfigAddresses has them. It
	// is empty before the configuration is written, and where a version wrote it that recorded none: those are the ones
	// on record.
	ConfiguredFor string `json:"configured_for,omitempty"`
	SSHUser       string `json:"ssh_user,omitempty"`
	SSHPort       int    `json:"ssh_port,omitempty"`
	// HostKey is the pinned SSH host key, in authorized_keys form.
	HostKey string `json:"host_key,omitempty"`
	// CPUs and MemoryGiB are what the cloud gave the machine; 0 where they are what the machine itself shows.
	CPUs      float64 `json:"cpus,omitempty"`
	MemoryGiB float64 `json:"memory_gib,omitempty"`

	ReservedAt time.Time `json:"reserved_at,omitzero"`
	LaunchedAt time.Time `json:"launched_at,omitzero"`
	ReadyAt    time.Time `json:"ready_at,omitzero"`
	GoneAt     time.Time `json:"gone_at,omitzero"`
	// BilledFrom and BilledUntil are from when until when the machine was there as its cloud tells it; zero where it
	// has not.
	BilledFrom  time.Time `json:"billed_from,omitzero"`
	BilledUntil time.Time `json:"billed_until,omitzero"`
	// SpentBefore is what earlier machines in this place have cost, in US dollars. SpentEstimated: that, or what this
	// one has cost so far, counts with times that are not the cloud's own.
	SpentBefore    float64 `json:"spent_before,omitempty"`
	SpentEstimated bool    `json:"spent_estimated,omitempty"`
	// PowerOffAt is when the machine powers itself off unless its cluster is READY before; zero where it does not.
	PowerOffAt time.Time `json:"power_off_at,omitzero"`
}

// MachineState is how far a machine has come.
type MachineState string

// The states of a machine, in the order in which a healthy one passes them. A terminated machine is Gone only once
// the cloud's own listing no longer has it.
const (
	MachineReserved    MachineState = "Reserved"
	MachineLaunching   MachineState = "Launching"
	MachineUp          MachineState = "Up"
	MachinePrepared    MachineState = "Prepared"
	MachineReady       MachineState = "Ready"
	MachineTerminating MachineState = "Terminating"
	MachineGone        MachineState = "Gone"
)

// MachineName is the name of place index of a cluster.
func MachineName(cluster string, index int) string { return fmt.Sprintf("sky-%s-%d", cluster, index) }

// RoleOf is the role of place index: the first machine is the head.
func RoleOf(index int) Role {
	if index == 0 {
		return RoleHead
	}
	return RoleWorker
}
