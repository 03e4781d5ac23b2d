// Package cloud is the seam to whoever gives machines: what a cloud must be able to do, and the kinds of its errors.
package cloud

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Cloud gives machines. Every method may be called twice with the same arguments: a machine's name is its idempotency
// key, and an implementation looks before it acts. Errors carry a Kind (see Error).
type Cloud interface {
	// ValidateSpec checks a spec against what this cloud has at all (region, sizes, accelerators), before anything is
	// written or launched. Bad input is an *api.FieldError (or several joined).
	ValidateSpec(ctx context.Context, spec api.ClusterSpec) error
	// RankPlacements ranks the placements that can hold all machines of the spec, the cheapest first.
	RankPlacements(ctx context.Context, spec api.ClusterSpec) ([]api.Placement, error)
	// SubmitLaunch asks for one machine and returns as soon as the cloud has taken the request, with a reference for
	// Await. Where a machine of that name and incarnation exists or is on its way, that one is referred to. A machine
	// of the name that belongs to somebody else is a Conflict and is left alone.
	SubmitLaunch(ctx context.Context, req LaunchRequest) (ref string, err error)
	// AwaitLaunch returns once the machine is up and its addresses are known, reporting progress in words for a person.
	AwaitLaunch(ctx context.Context, req LaunchRequest, ref string, progress func(string)) (Machine, error)
	// CancelLaunch gives up a launch under way; what it may have made is for Terminate.
	CancelLaunch(ctx context.Context, ref string) error
	// ListMachines returns all machines that carry the owner's labels; an empty ClusterUID means the whole
	// installation. Where some of several clouds could not be asked, it returns what the others have and a
	// *PartialError.
	ListMachines(ctx context.Context, owner Owner) ([]Machine, error)
	// TerminateMachine ends the target, and returns once the cloud's own listing no longer has it. It reads the
	// machine's labels again before it acts, and acts by the cloud's own id: what bears the target's id and does not
	// fit its labels is a Conflict and is left alone. A target that is not there is a success, whatever else bears its
	// name.
	TerminateMachine(ctx context.Context, target Target) error
	// RemoveClusterResources removes what was made for the cluster as a whole (groups, networks) once its machines are
	// gone.
	RemoveClusterResources(ctx context.Context, owner Owner) error
}

// Checker is a Cloud that can tell what it needs, and whether it has that.
type Checker interface {
	// InspectProvider looks at what gives the machines and at each cloud behind it. What is wrong stands in the answer,
	// with what to do about it; it starts what it would start for a launch, and changes nothing else.
	InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus)
}

// Starter is a Cloud that can start a machine which was stopped from outside.
type Starter interface {
	// StartMachine starts the target, which it makes sure of as Terminate does, and returns it once it runs: at the
	// private address that it had before, where the cloud can choose that; other addresses may be new. A machine that
	// runs already is a success, one that is not there a Conflict.
	StartMachine(ctx context.Context, target Target, privateAddress string) (Machine, error)
}

// Owner is whose a machine is. Only machines that carry this installation's id are ever touched.
type Owner struct {
	Installation string
	Cluster      string
	ClusterUID   string
}

// The labels that every machine carries on its cloud; the form suits clouds that allow no slash or capital.
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
	Placement   api.Placement
	Spec        api.ClusterSpec
	// Labels are the person's own; those that a cloud doesn't allow are left out.
	Labels map[string]string
	// AuthorizedKey is the public key that may log in, in authorized_keys form.
	AuthorizedKey string
	// HostKey is the private SSH host key that the machine shall have (OpenSSH PEM), so that it is known before the
	// first connection. A cloud that can't place it leaves Machine.HostKey empty, and the key is pinned on first
	// contact.
	HostKey []byte
	// Wanted, which may be nil, fails where the machine is not to be launched any more. A launch that failed is asked
	// for again only after it was asked.
	Wanted func(context.Context) error `json:"-"`
}

// Machine is one as its cloud shows it.
type Machine struct {
	Owner       Owner
	Name        string
	Index       int
	Incarnation string
	ID          string
	State       MachineState
	Address     string
	// PrivateAddress is how machines of one cluster reach each other.
	PrivateAddress string
	SSHUser        string
	SSHPort        int
	// HostKey is the public SSH host key in authorized_keys form, where the cloud vouches for it.
	HostKey   string
	CreatedAt time.Time
	// CPUs and MemoryGiB are what the machine was given; 0 where they are what the machine itself shows.
	CPUs      float64
	MemoryGiB float64
	// Cloud is the name of the cloud that it is on, as specs have it.
	Cloud string
	// PricePerHour in US dollars; 0 is free, or unknown.
	PricePerHour float64
	// NoStart: the cloud can't start it again where it was stopped, though it may be a Starter.
	NoStart bool
}

// MachineState of a machine on its cloud.
type MachineState string

// The states that matter to us.
const (
	StatePending MachineState = "pending"
	StateRunning MachineState = "running"
	StateStopped MachineState = "stopped"
	// StateUnknown is that of a machine which was there when its cloud could last be asked, and which it can't be asked
	// about now.
	StateUnknown MachineState = "unknown"
)
