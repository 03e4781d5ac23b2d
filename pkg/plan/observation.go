package plan

import (
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Observation is what was observed of one cluster at one time.
type Observation struct {
	At time.Time
	// InFlight are the actions that run now. Their targets get no other action.
	InFlight []api.Action
	// Listed are the cluster's machines in the cloud's list; meaningless if CloudError is set.
	Listed []ListedMachine
	// CloudError is why the cloud did not answer. Then no machine is changed.
	CloudError string
	// Nodes by name, as the Kubernetes API returns them; meaningless if APIError is set.
	Nodes map[string]Node
	// APIError is why the Kubernetes API did not answer.
	APIError string
	// Units is the state of RKE2, by machine index, on those machines that were checked over SSH.
	Units map[int]RKE2Unit
	// CredentialsExpire is when the stored kubeconfig's certificate expires; zero if that was not checked.
	CredentialsExpire time.Time
	// KeysMissing are the secrets that the cluster needs and that the store has lost.
	KeysMissing []string
	// KubeconfigFile is what is wrong with the person's kubeconfig file: it is missing, or differs from the stored one.
	// Empty if it is correct or was not checked.
	KubeconfigFile string
	// AddOns is the condition AddOnsReady, if it was asked for again because it was not True; nil if it was not.
	AddOns *api.Condition
	// GPU is what is wrong with the GPU stack; empty if it works or the cluster has none.
	GPU string
	// Snapshot is the newest snapshot from which the cluster can be restored. It is nil if there is none, for the
	// reason NoSnapshot, or if it was not looked for, because the head is there.
	Snapshot   *api.Snapshot
	NoSnapshot string
	// CanStart says whether the cloud can start stopped machines, except those with NoStart.
	CanStart bool
}

// ListedMachine is a machine as the cloud lists it.
type ListedMachine struct {
	Name string
	// ID is the cloud's id of the machine; empty if the cloud has not returned one.
	ID string
	// Cluster, Index and Incarnation are what its labels say.
	Cluster     string
	Index       int
	Incarnation string
	// Address, PrivateAddress and SSHPort are empty if the cloud does not say, or the machine does not run.
	Address, PrivateAddress string
	SSHPort                 int
	// Stopped: the machine exists but does not run.
	Stopped bool
	// NoStart: its cloud cannot start it again once it is stopped.
	NoStart bool
	// Conflict is why an earlier sweep found that it is not one of the cluster's machines. The machine it was compared
	// with may be gone by now.
	Conflict string
	// Unknown: it existed when its cloud last answered about it, and the cloud does not answer now. It is not
	// terminated meanwhile.
	Unknown bool
}

// Node is a Node of the cluster.
type Node struct {
	Ready bool
	// Why is the Node's own message if it is not Ready.
	Why string
	// Pressure is the condition that keeps pods off a Ready Node, such as DiskPressure.
	Pressure string
	// Since is when its readiness last changed, by the cluster's clock. That may be wrong, so no decision uses it.
	Since    time.Time
	Cordoned bool
	// Deleting: its deletion was requested, and finalizers keep it.
	Deleting bool
	// Pods is the number of pods that a drain of the Node would evict.
	Pods int
	// Kubelet is the kubelet's version.
	Kubelet string
	// Labels and Taints are all that the Node has; nil labels were not read. A taint has the form of api.NodeSettings.
	Labels map[string]string
	Taints []string
}

// RKE2Unit is RKE2 on a machine.
type RKE2Unit struct {
	// Reached: SSH answered with the pinned host key. Error says why not.
	Reached bool
	Error   string
	// Active is systemd's ActiveState: active, activating, failed, inactive.
	Active string
	// Since is when it entered that state, by the clock of Observation.At; zero if unknown.
	Since time.Time
	// Health is that of a head's Kubernetes API, checked on the machine itself; Why is the API's answer.
	Health Health
	Why    string
}

// Health is the health of a head's Kubernetes API.
type Health string

// The kinds of health. HealthUnknown: it was not checked, or the machine cannot tell.
const (
	HealthUnknown Health = ""
	Healthy       Health = "healthy"
	Unhealthy     Health = "unhealthy"
)

// canStartMachine says whether the cloud can start a machine that it lists as stopped.
func (o Observation) canStartMachine(l *ListedMachine) bool {
	return o.CanStart && l != nil && !l.NoStart
}

func isStopped(l *ListedMachine) bool { return l != nil && l.Stopped }

// isUnitDead says whether RKE2 neither runs nor starts.
func isUnitDead(u RKE2Unit) bool {
	return u.Reached && (u.Active == "failed" || u.Active == "inactive")
}

func isUnitStarting(u RKE2Unit) bool {
	return u.Reached && (u.Active == "activating" || u.Active == "reloading")
}
