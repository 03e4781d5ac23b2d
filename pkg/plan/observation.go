package plan

import "time"

// Observation is what was seen of one cluster at one time.
type Observation struct {
	At time.Time
	// Listed are the cluster's machines by the cloud's own listing; it means nothing where CloudError is set.
	Listed []ListedMachine
	// CloudError is why the cloud could not be asked. Then nothing is touched.
	CloudError string
	// Nodes by name, as the Kubernetes API shows them; they mean nothing where APIError is set.
	Nodes map[string]Node
	// APIError is why the Kubernetes API could not be asked.
	APIError string
	// Units is the state of RKE2 on machines that were looked at over SSH, by index.
	Units map[int]RKE2Unit
	// CredentialsExpire is when the kubeconfig in the store ends; zero where that was not looked at.
	CredentialsExpire time.Time
	// KeysMissing are the secrets that the cluster can't be without and that the store has lost.
	KeysMissing []string
	// KubeconfigFile is why the person's kubeconfig file is of no use: it is not there, or not what the store has.
	// Empty where it is fine, or nobody looked.
	KubeconfigFile string
	// GPU is why the GPU stack is not as it was installed; empty where it is, or where there is none.
	GPU string
	// CanStart: the cloud can start machines that were stopped, but for those with NoStart.
	CanStart bool
}

// ListedMachine is a machine as the cloud lists it.
type ListedMachine struct {
	Name string
	// ID is the cloud's own id of it; empty where the cloud has not told one.
	ID string
	// Cluster, Index and Incarnation are what its labels say.
	Cluster     string
	Index       int
	Incarnation string
	// Address, PrivateAddress and SSHPort are where it runs; empty where the cloud does not say, or it does not run.
	Address, PrivateAddress string
	SSHPort                 int
	// Stopped: it exists and does not run.
	Stopped bool
	// NoStart: its cloud can't start it again where it is stopped.
	NoStart bool
	// Conflict is why it was found before to be none of the cluster's own, when there was still a machine to compare it
	// with.
	Conflict string
	// Unknown: it was there when its cloud could last be asked about it, which it can't now. It is not ended meanwhile.
	Unknown bool
}

// Node is a Node of the cluster.
type Node struct {
	Ready bool
	// Why says in its own words what is wrong, where it is not Ready.
	Why string
	// Pressure names what keeps pods off it though it is Ready, such as DiskPressure.
	Pressure string
	// Since is when its readiness last changed, by the clock of its cluster, which may be wrong: no decision stands on
	// it.
	Since    time.Time
	Cordoned bool
	// Kubelet is its version.
	Kubelet string
}

// RKE2Unit is RKE2 on a machine.
type RKE2Unit struct {
	// Reached: SSH answered, and showed the pinned host key. Error says why not.
	Reached bool
	Error   string
	// Active is systemd's ActiveState: active, activating, failed, inactive.
	Active string
	// Since is when it came into that state, by the clock of At; zero where that is unknown.
	Since time.Time
	// Health is what a head says of its Kubernetes API when it is asked on the machine itself; Why is what it answered.
	Health Health
	Why    string
}

// Health is what a machine says of itself.
type Health string

// The states of a machine's health. HealthUnknown: it was not asked, or can't tell.
const (
	HealthUnknown Health = ""
	Healthy       Health = "healthy"
	Unhealthy     Health = "unhealthy"
)

// canStartMachine says that a machine which is listed as stopped can be started again.
func (w Observation) canStartMachine(l *ListedMachine) bool {
	return w.CanStart && l != nil && !l.NoStart
}

func isStopped(l *ListedMachine) bool { return l != nil && l.Stopped }

// isUnitDead says that RKE2 does not run and is not about to; starting that it is.
func isUnitDead(u RKE2Unit) bool {
	return u.Reached && (u.Active == "failed" || u.Active == "inactive")
}
func isUnitStarting(u RKE2Unit) bool {
	return u.Reached && (u.Active == "activating" || u.Active == "reloading")
}
