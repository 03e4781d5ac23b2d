package api

// CheckFinding is the result of one check.
type CheckFinding struct {
	Name string `json:"name"`
	// Where is what was checked: a path or an address.
	Where   string `json:"where,omitempty"`
	Version string `json:"version,omitempty"`
	// Details are shown whether the check passed or not.
	Details []string `json:"details,omitempty"`
	// Problem says why the check failed, and what to do; empty if it passed.
	Problem string `json:"problem,omitempty"`
	// Findings are all problems and warnings of a part that is checked by rules, problems first. Problem repeats its
	// problems. Older workers send none.
	Findings []Finding `json:"findings,omitempty"`
}

// CloudStatus is whether a cloud is enabled.
type CloudStatus struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	// Reason says why it is not enabled, and what to do.
	Reason string `json:"reason,omitempty"`
}
