package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowCheckMachines looks at every machine of a cluster as at a new one. It changes nothing. Its input is the
// cluster's api.Ref.
const WorkflowCheckMachines = "CheckMachines"

// MaxMachineFindings is how many findings about one machine CheckMachinesResult has.
const MaxMachineFindings = 20

// CheckMachinesResult is the result of WorkflowCheckMachines.
type CheckMachinesResult struct {
	// Machines are all that exist, by index.
	Machines []api.MachineCheck `json:"machines,omitempty"`
}
