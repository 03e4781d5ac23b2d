package operation

import "github.com/sky-shift/skyctl/pkg/api"

// Workflow types that bring a cluster to its spec. Converge is an operation under WorkflowID: it adds, removes,
// replaces and repairs machines until the spec's generation is reached. BringUp is its child, and Provision's: it
// brings up machines of one pool.
const (
	WorkflowConverge = "Converge"
	WorkflowBringUp  = "BringUp"
)

// SignalChanged tells the operation that runs on a cluster that the cluster's object in etcd has changed. It has no
// content: the operation reads the object. Several signals mean the same as one.
const SignalChanged = "changed"

// ConvergeInput is the input of WorkflowConverge.
type ConvergeInput struct {
	Cluster api.Ref `json:"cluster"`
	// Again: a person requested it. Earlier failures do not count, and a cluster that a repair left in ERROR is
	// repaired too.
	Again bool `json:"again,omitempty"`
}
