// Package cloud is the interface that every cloud implements, and the kinds of its errors.
package cloud

import (
	"context"
	"net"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Cloud provides machines. Every method may be called twice with the same arguments: a machine's name is its
// idempotency key, and an implementation checks what exists before it acts. Errors have a kind (see Error).
type Cloud interface {
	// ValidateSpec checks that this cloud can meet a spec (region, sizes, accelerators), before anything is written or
	// launched. Invalid input is an *api.FieldError, or several joined.
	ValidateSpec(ctx context.Context, spec api.GroupSpec) error
	// RankPlacements ranks the placements that can hold all machines of the spec beside those that their cluster has,
	// the cheapest first. What no placement can hold is an *api.FieldError, or several joined.
	RankPlacements(ctx context.Context, spec api.GroupSpec, beside api.Neighbors) ([]api.Placement, error)
	// SubmitLaunch requests one machine and returns a reference for AwaitLaunch as soon as the cloud has accepted the
	// request. If a machine of that name and incarnation exists or is being launched, the reference is to that one. A
	// machine of another owner with that name is a Conflict and is not changed.
	SubmitLaunch(ctx context.Context, req LaunchRequest) (ref string, err error)
	// AwaitLaunch returns once the machine is up and its addresses are known. Progress is for a person to read.
	AwaitLaunch(ctx context.Context, req LaunchRequest, ref string, progress func(string)) (Machine, error)
	// CancelLaunch cancels a running launch. TerminateMachine removes what it has created.
	CancelLaunch(ctx context.Context, ref string) error
	// ListMachines returns all machines with the owner's labels; an empty ClusterUID means the whole installation. If
	// some of several clouds do not answer, it returns the machines of the others and a *PartialError.
	ListMachines(ctx context.Context, owner Owner) ([]Machine, error)
	// TerminateMachine terminates the target and returns once the cloud no longer lists it. It reads the machine's
	// labels again first, and acts by the cloud's own id. A machine that has the target's id but other labels is a
	// Conflict and is not changed. A target that does not exist is a success, whatever else has its name.
	TerminateMachine(ctx context.Context, target Target) error
	// RemoveClusterResources removes what was created for the cluster as a whole (groups, networks). Its machines are
	// gone.
	RemoveClusterResources(ctx context.Context, owner Owner) error
}

// Checker is a Cloud that can report what it needs and whether it has that.
type Checker interface {
	// InspectProvider checks the provider of the machines and each cloud behind it. The result contains the problems
	// and how to fix them. It starts what a launch would start, and changes nothing else.
	InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus)
}

// Warner is a Cloud that knows what may do harm to new clusters on it.
type Warner interface {
	// ListWarnings lists what the last ValidateSpec has found that does not keep clusters from running there, and what
	// may do harm to a cluster of machines with these placements, one for each machine.
	ListWarnings(machines []api.Placement) []api.Finding
}

// Starter is a Cloud that can start a machine which was stopped from outside.
type Starter interface {
	// StartMachine starts the target, which it identifies as TerminateMachine does, and returns it once it runs. It
	// keeps its private address if the cloud can choose that; other addresses may be new. A machine that already runs
	// is a success; one that does not exist is a Conflict.
	StartMachine(ctx context.Context, target Target, privateAddress string) (Machine, error)
}

// Owner is the owner of a machine. Only machines with this installation's id are ever changed.
type Owner struct {
	Installation string
	Cluster      string
	ClusterUID   string
}

// The labels of every machine on its cloud. Some clouds allow no slash and no capital letter in them.
const (
	LabelInstallation = "skyctl-installation"
	LabelCluster      = "skyctl-cluster"
	LabelClusterUID   = "skyctl-cluster-uid"
	LabelIndex        = "skyctl-index"
	LabelIncarnation  = "skyctl-incarnation"
)

// BootPowerOffUnit is the systemd timer that a cloud may start on a machine at its first boot. The machine powers
// itself off unless the timer is stopped.
const BootPowerOffUnit = "skyctl-deadman"

// LaunchRequest is everything a cloud needs to launch one machine.
type LaunchRequest struct {
	Owner       Owner
	Name        string
	Index       int
	Incarnation string
	Role        api.Role
	Placement   api.Placement
	Spec        api.GroupSpec
	// Labels are the user's own. Those that a cloud does not allow are left out.
	Labels map[string]string
	// AuthorizedKey is the public key that may log in, in authorized_keys form.
	AuthorizedKey string
	// HostKey is the private SSH host key that the machine is to have (OpenSSH PEM), so that it is known before the
	// first connection. A cloud that cannot install it leaves Machine.HostKey empty, and the key is pinned on first
	// contact.
	HostKey []byte
	// Wanted returns an error if the machine is no longer to be launched. It may be nil. A failed launch is repeated
	// only after it was called.
	Wanted func(context.Context) error `json:"-"`
	// FindRoute returns what connects to the SSH port of the machine through a bastion, or nil if it is reached
	// directly. It may be nil: then every machine is. The connections ignore deadlines.
	FindRoute func(Machine) Route `json:"-"`
}

// Route connects to a machine.
type Route func(context.Context) (net.Conn, error)

// Machine is a machine as its cloud shows it.
type Machine struct {
	Owner       Owner
	Name        string
	Index       int
	Incarnation string
	ID          string
	State       MachineState
	Address     string
	// PrivateAddress is where the machines of a cluster reach each other.
	PrivateAddress string
	SSHUser        string
	SSHPort        int
	// HostKey is the public SSH host key in authorized_keys form, if the cloud guarantees it.
	HostKey   string
	CreatedAt time.Time
	// CPUs and MemoryGiB are the machine's limits, or 0 if they are what the machine itself shows.
	CPUs      float64
	MemoryGiB float64
	// Cloud is the name of its cloud in specs.
	Cloud string
	// PricePerHour is in US dollars; 0 is free or unknown.
	PricePerHour float64
	// NoStart: the cloud cannot start it after a stop, even if the cloud is a Starter.
	NoStart bool
}

// MachineState is the state of a machine on its cloud.
type MachineState string

// The states that skyctl distinguishes.
const (
	StatePending MachineState = "pending"
	StateRunning MachineState = "running"
	StateStopped MachineState = "stopped"
	// StateUnknown is the state of a machine that existed when its cloud last answered, if the cloud does not answer
	// now.
	StateUnknown MachineState = "unknown"
)
