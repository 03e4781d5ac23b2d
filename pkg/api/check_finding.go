package api

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
