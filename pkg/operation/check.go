package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowCheck checks what a worker can reach: clouds, and what they need. It changes nothing.
const WorkflowCheck = "Check"

// CheckInput is the input of WorkflowCheck. Older workers ignore it and check everything.
type CheckInput struct {
	// Cloud is the only one to check; "" is every cloud.
	Cloud string `json:"cloud,omitempty"`
}

// CheckResult is the result of WorkflowCheck.
type CheckResult struct {
	// Worker is the worker that checked: its version, and where it runs.
	Worker api.CheckFinding `json:"worker"`
	// Providers launch machines, such as Docker and SkyPilot.
	Providers []api.CheckFinding `json:"providers"`
	// Clouds are those that a spec can name.
	Clouds []api.CloudStatus `json:"clouds"`
}
