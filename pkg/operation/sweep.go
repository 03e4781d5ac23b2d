package operation

import "github.com/sky-shift/skyctl/pkg/api"

// The workflows that keep what is there equal to what etcd says. Repair is an operation under WorkflowID; Sweep runs
// on a schedule, and when somebody asks for it.
const (
	WorkflowRepair  = "Repair"
	WorkflowSweep   = "Sweep"
	WorkflowOrphans = "Orphans"
)

// SweepScheduleID is the Temporal Schedule that starts sweeps, and begins the ids of their runs.
const SweepScheduleID = "sweep"

// RepairInput is the input of WorkflowRepair.
type RepairInput struct {
	Cluster api.Ref `json:"cluster"`
	// Again: a person asked for it. What was tried in vain before is tried once more, and a cluster that a repair left
	// in ERROR is taken up again.
	Again bool `json:"again,omitempty"`
}

// SweepInput is the input of WorkflowSweep.
type SweepInput struct {
	// Cluster is the one to look at; empty is all, and the orphans.
	Cluster string `json:"cluster,omitempty"`
	// Again is that of the repairs that are started.
	Again bool `json:"again,omitempty"`
}

// SweepResult is what a sweep found. Clusters without drift are only counted.
type SweepResult struct {
	Looked  int              `json:"looked"`
	Drifted []DriftedCluster `json:"drifted,omitempty"`
	Orphans []api.Orphan     `json:"orphans,omitempty"`
	// Unasked says which clouds could not be asked for orphans, and why.
	Unasked []string `json:"unasked,omitempty"`
	// Failed says what could not be looked at, and why; the rest of the result holds all the same.
	Failed []string `json:"failed,omitempty"`
	// Doubt is why no machine was changed; nil where there is none.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

// OrphansInput is the input of WorkflowOrphans.
type OrphansInput struct {
	// Terminate ends those of these names, as they were listed; without any it only lists.
	Terminate []string `json:"terminate,omitempty"`
}

// OrphansResult is the result of WorkflowOrphans.
type OrphansResult struct {
	Orphans []api.Orphan `json:"orphans,omitempty"`
	Unasked []string     `json:"unasked,omitempty"`
	// Doubt is why no orphan is ended; nil where there is none.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

// DriftedCluster is a cluster that is not as etcd says, or of which that can't be said.
type DriftedCluster struct {
	Cluster string      `json:"cluster"`
	Phase   api.Phase   `json:"phase"`
	Drift   []api.Drift `json:"drift,omitempty"`
	// Started is the operation that was started about it; empty where none was, with Why.
	Started string `json:"started,omitempty"`
	Why     string `json:"why,omitempty"`
	// Unseen: it was not looked at, for the reason that Why gives: nothing can be said of how it is.
	Unseen bool `json:"unseen,omitempty"`
}
