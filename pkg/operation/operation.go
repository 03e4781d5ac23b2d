// Package operation holds what programs exchange through Temporal: the names and ids of workflows, their inputs and
// their results.
package operation

import (
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Workflow types. Provision and Delete are operations: they run under WorkflowID, so that at most one operation runs
// per cluster. Plan only queries a cloud; it changes nothing.
const (
	WorkflowProvision = "Provision"
	WorkflowDelete    = "Delete"
	WorkflowPlan      = "Plan"
)

// The search attributes of operations, by which the Web UI filters them. Temporal rejects a workflow with a search
// attribute that its namespace lacks.
const (
	SearchClusterName = "ClusterName"
	SearchOperation   = "Operation" // the workflow type that was requested
)

// WorkflowID is the workflow id of every operation on a cluster.
func WorkflowID(cluster string) string { return "cluster/" + cluster }

// ProvisionInput is the input of WorkflowProvision. Timeout bounds the whole operation; 0 is DefaultProvisionTimeout.
type ProvisionInput struct {
	Cluster api.Ref       `json:"cluster"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// Continued: this run continues a create whose history became long.
	Continued bool `json:"continued,omitempty"`
}

// DefaultProvisionTimeout is how long a create may take in total, unless the person sets another timeout.
const DefaultProvisionTimeout = time.Hour

// DeleteInput is the input of WorkflowDelete. Purge removes the cluster's record even if its cloud does
// not answer.
type DeleteInput struct {
	Cluster api.Ref `json:"cluster"`
	Purge   bool    `json:"purge,omitempty"`
}

// PlanInput is the input of WorkflowPlan.
type PlanInput struct {
	Spec api.GroupSpec `json:"spec"`
	// WorkerOnly: only the worker is wanted. Older workers rank placements for Spec too.
	WorkerOnly bool `json:"worker_only,omitempty"`
	// Pool asks for the machines of a pool instead of Spec. An older worker does not know it.
	Pool *PoolQuestion `json:"pool,omitempty"`
	// Cluster asks for all machines of a new cluster, whose pools can have machine specs of their own. Spec is that of
	// its control plane, for which an older worker ranks placements.
	Cluster *api.ClusterSpec `json:"cluster,omitempty"`
}

// PoolQuestion asks where a cluster's pool can get the machines that it lacks, at least one. The pool need not be
// stored yet.
type PoolQuestion struct {
	Cluster api.Ref  `json:"cluster"`
	Pool    api.Pool `json:"pool"`
}

// PlanResult is the result of WorkflowPlan: ranked placements, or the errors of the input.
type PlanResult struct {
	Placements []api.Placement `json:"placements,omitempty"`
	// Pools are the placements of the pools that are requested with another machine spec than the control plane, beside
	// the first of Placements, whose PriceTotal is that of the whole cluster.
	Pools   []api.PoolPlacement `json:"pools,omitempty"`
	Invalid []api.FieldError    `json:"invalid,omitempty"`
	// Warnings may do harm to a new cluster.
	Warnings []api.Finding `json:"warnings,omitempty"`
	// Worker is the worker that answered; nil from older workers, whose level is 1.
	Worker *WorkerInfo `json:"worker,omitempty"`
}

// WorkerInfo identifies a worker and its settings.
type WorkerInfo struct {
	Where    string                     `json:"where,omitempty"`
	Version  string                     `json:"version"`
	Level    int                        `json:"level"`
	Settings map[string]api.UsedSetting `json:"settings,omitempty"`
}
