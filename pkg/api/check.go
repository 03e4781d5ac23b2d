package api

// WorkflowCheck asks what a worker can reach: clouds, and what they need. It changes nothing.
const WorkflowCheck = "Check"

// CheckResult is what WorkflowCheck found.
type CheckResult struct {
	// Worker is the worker that looked: its version, and where it runs.
	Worker CheckFinding `json:"worker"`
	// Providers are what gives machines, such as Docker and SkyPilot.
	Providers []CheckFinding `json:"providers"`
	// Clouds are those that a spec may name.
	Clouds []CloudStatus `json:"clouds"`
}

// CheckFinding is one thing that has to work, and whether it does.
type CheckFinding struct {
	Name string `json:"name"`
	// Where it was looked for.
	Where   string `json:"where,omitempty"`
	Version string `json:"version,omitempty"`
	// Details are worth knowing whether it works or not.
	Details []string `json:"details,omitempty"`
	// Problem says why it does not work, and what to do; empty where it works.
	Problem string `json:"problem,omitempty"`
}

// CloudStatus is whether a cloud can be asked for machines.
type CloudStatus struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	// Reason says why it is not enabled, and what to do.
	Reason string `json:"reason,omitempty"`
}
