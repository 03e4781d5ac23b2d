package api

import "slices"

// FindingSeverity says what a finding means.
type FindingSeverity string

// The severities: with a problem a machine cannot be a node, or no cluster can be created; with a warning it may.
const (
	FindingProblem FindingSeverity = "Problem"
	FindingWarning FindingSeverity = "Warning"
)

// Finding is something about a machine, or about the computer that runs skyd, that keeps it from being of use, or may.
type Finding struct {
	// Check is what was checked: one word in CamelCase, for programs.
	Check    string          `json:"check"`
	Severity FindingSeverity `json:"severity"`
	Message  string          `json:"message"`
	// Fix says what to do.
	Fix string `json:"fix,omitempty"`
}

// String is the message with its fix.
func (f Finding) String() string {
	if f.Fix == "" {
		return f.Message
	}
	return f.Message + ": " + f.Fix
}

// MachineCheck is what was found wrong with a machine of a cluster.
type MachineCheck struct {
	Machine string `json:"machine"`
	Role    Role   `json:"role"`
	// Unchecked is why the machine could not be looked at; "" if it was.
	Unchecked string    `json:"unchecked,omitempty"`
	Findings  []Finding `json:"findings,omitempty"`
}

// IsGood reports whether the machine was looked at and has no problem; it may have warnings.
func (c MachineCheck) IsGood() bool {
	return c.Unchecked == "" && !slices.ContainsFunc(c.Findings, func(f Finding) bool {
		return f.Severity == FindingProblem
	})
}
