package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowCheck asks what a worker can reach: clouds, and what they need. It changes nothing.
const WorkflowCheck = "Check"

// CheckResult is what WorkflowCheck found.
type CheckResult struct {
	// Worker is the worker that looked: its version, and where it runs.
	Worker api.CheckFinding `json:"worker"`
	// Providers are what gives machines, such as Docker and SkyPilot.
	Providers []api.CheckFinding `json:"providers"`
	// Clouds are those that a spec may name.
	Clouds []api.CloudStatus `json:"clouds"`
}
