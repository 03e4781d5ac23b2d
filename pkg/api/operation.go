package api

import "time"

// The workflow types. Provision and Delete are operations: they run under OperationID, which lets one at a time work
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

// OperationID is the workflow id of whatever operation works on a cluster.
func OperationID(cluster string) string { return "cluster/" + cluster }

// Ref names a cluster in etcd; it is what workflows and activities pass around instead of the object.
type Ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Ref names this cluster, and no other that may bear its name.
func (c *Cluster) Ref() Ref { return Ref{Name: c.Metadata.Name, UID: c.Metadata.UID} }

// ProvisionInput is the input of WorkflowProvision. Timeout bounds the whole operation; 0 is DefaultProvisionTimeout.
type ProvisionInput struct {
	Cluster Ref           `json:"cluster"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// Continued: this run goes on with a create whose history became long.
	Continued bool `json:"continued,omitempty"`
}

// DefaultProvisionTimeout is how long a create may take in all, unless the person says otherwise.
const DefaultProvisionTimeout = time.Hour

// DeleteInput is the input of WorkflowDelete. Purge forgets the cluster even where its cloud can't be asked.
type DeleteInput struct {
	Cluster Ref  `json:"cluster"`
	Purge   bool `json:"purge,omitempty"`
}

// PlanInput is the input of WorkflowPlan.
type PlanInput struct {
	Spec ClusterSpec `json:"spec"`
}

// PlanResult is what WorkflowPlan found: ranked placements, or what is wrong with the input.
type PlanResult struct {
	Placements []Placement  `json:"placements,omitempty"`
	Invalid    []FieldError `json:"invalid,omitempty"`
	// Worker is the one that answered; nil of a worker of before, whose level is 1.
	Worker *WorkerInfo `json:"worker,omitempty"`
}
