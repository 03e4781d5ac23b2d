// Package operation holds what skyctl, skyd and the tests say to each other through Temporal: the names and ids of
// workflows, their inputs and their results.
package operation

import (
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// The workflow types. Provision and Delete are operations: they run under WorkflowID, which lets one at a time work
// on a cluster. Plan only asks a cloud; it changes nothing.
const (
	WorkflowProvision = "Provision"
	WorkflowDelete    = "Delete"
	WorkflowPlan      = "Plan"
)

// The search attributes of operations: keywords by which the Web UI lists them. A Temporal refuses to start what
// carries one that its namespace does not have.
const (
	SearchClusterName = "ClusterName"
	SearchOperation   = "Operation" // the workflow type that somebody asked for
)

// WorkflowID is the workflow id of whatever operation works on a cluster.
func WorkflowID(cluster string) string { return "cluster/" + cluster }

// ProvisionInput is the input of WorkflowProvision. Timeout bounds the whole operation; 0 is DefaultProvisionTimeout.
type ProvisionInput struct {
	Cluster api.Ref       `json:"cluster"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// Continued: this run goes on with a create whose history became long.
	Continued bool `json:"continued,omitempty"`
}

// DefaultProvisionTimeout is how long a create may take in all, unless the person says otherwise.
const DefaultProvisionTimeout = time.Hour

// DeleteInput is the input of WorkflowDelete. Purge forgets the cluster even where its cloud can't be asked.
type DeleteInput struct {
	Cluster api.Ref `json:"cluster"`
	Purge   bool    `json:"purge,omitempty"`
}

// PlanInput is the input of WorkflowPlan.
type PlanInput struct {
	Spec api.ClusterSpec `json:"spec"`
}

// PlanResult is what WorkflowPlan found: ranked placements, or what is wrong with the input.
type PlanResult struct {
	Placements []api.Placement  `json:"placements,omitempty"`
	Invalid    []api.FieldError `json:"invalid,omitempty"`
	// Worker is the one that answered; nil of a worker of before, whose level is 1.
	Worker *WorkerInfo `json:"worker,omitempty"`
}

// WorkerInfo says which worker answered, and what it works with.
type WorkerInfo struct {
	Where    string                     `json:"where,omitempty"`
	Version  string                     `json:"version"`
	Level    int                        `json:"level"`
	Settings map[string]api.UsedSetting `json:"settings,omitempty"`
}
