package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowAdopt makes a state directory the home of its installation again.
const WorkflowAdopt = "Adopt"

// AdoptInput is the input of WorkflowAdopt.
type AdoptInput struct {
	// Confirmed: a person has seen the findings and wants the adoption. Without it, Adopt changes nothing.
	Confirmed bool `json:"confirmed,omitempty"`
}

// AdoptResult is the result of WorkflowAdopt.
type AdoptResult struct {
	// Before is the record before the adoption.
	Before api.Home `json:"before"`
	// After is the record now; equal to Before if nothing was changed.
	After api.Home `json:"after"`
	// Findings are what speaks against this directory, as checked now.
	Findings []api.HomeFinding `json:"findings,omitempty"`
	// Marked are the clusters of which a machine has the mark of this adoption, Unreached those of which no machine
	// answered.
	Marked    []string `json:"marked,omitempty"`
	Unreached []string `json:"unreached,omitempty"`
}
