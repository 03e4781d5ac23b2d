package operation

import "github.com/sky-shift/skyctl/pkg/api"

// Workflow types that keep clusters in the requested state. Sweep runs on a schedule and on request. Repair is what
// Converge was in older versions: a run of it continues as Converge.
const (
	WorkflowRepair  = "Repair"
	WorkflowSweep   = "Sweep"
	WorkflowOrphans = "Orphans"
)

// SweepScheduleID is the id of the Temporal Schedule that starts sweeps, and the prefix of their workflow ids.
const SweepScheduleID = "sweep"

// RepairInput is the input of WorkflowRepair.
type RepairInput struct {
	Cluster api.Ref `json:"cluster"`
	// Again: a person requested the repair. Earlier failures do not count, and a cluster that a repair left in ERROR is
	// repaired too.
	Again bool `json:"again,omitempty"`
}

// SweepInput is the input of WorkflowSweep.
type SweepInput struct {
	// Cluster is the cluster to check; empty means all clusters, and the orphans.
	Cluster string `json:"cluster,omitempty"`
	// Again is passed to the repairs that the sweep starts.
	Again bool `json:"again,omitempty"`
}

// SweepResult is the result of WorkflowSweep. Clusters without drift are only counted.
type SweepResult struct {
	Looked  int              `json:"looked"`
	Drifted []DriftedCluster `json:"drifted,omitempty"`
	Orphans []api.Orphan     `json:"orphans,omitempty"`
	// Unasked says which clouds did not answer about orphans, and why.
	Unasked []string `json:"unasked,omitempty"`
	// Failed says what could not be checked, and why; the rest of the result is still valid.
	Failed []string `json:"failed,omitempty"`
	// Doubt is why no machine was changed; nil if there is no doubt.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

// OrphansInput is the input of WorkflowOrphans.
type OrphansInput struct {
	// Terminate are the names or cloud ids of orphans to terminate; empty only lists them.
	Terminate []string `json:"terminate,omitempty"`
}

// OrphansResult is the result of WorkflowOrphans.
type OrphansResult struct {
	Orphans []api.Orphan `json:"orphans,omitempty"`
	Unasked []string     `json:"unasked,omitempty"`
	// Doubt is why no orphan was terminated; nil if there is no doubt.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

// DriftedCluster is a cluster that differs from its record in etcd, or that could not be checked.
type DriftedCluster struct {
	Cluster string      `json:"cluster"`
	Phase   api.Phase   `json:"phase"`
	Drift   []api.Drift `json:"drift,omitempty"`
	// Started is the operation that the sweep started; empty if it started none, for the reason in Why.
	Started string `json:"started,omitempty"`
	Why     string `json:"why,omitempty"`
	// Unseen: the cluster could not be checked, for the reason in Why. Its state is unknown.
	Unseen bool `json:"unseen,omitempty"`
}
