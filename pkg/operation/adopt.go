package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowAdopt makes a state directory the home of its installation again.
const WorkflowAdopt = "Adopt"

// AdoptInput is the input of WorkflowAdopt.
type AdoptInput struct {
	// Confirmed: somebody has seen what was found and wants it. Without it nothing is changed.
	Confirmed bool `json:"confirmed,omitempty"`
}

// AdoptResult is what an adoption found and did.
type AdoptResult struct {
	// Before is what was recorded.
	Before api.Home `json:"before"`
	// After is what is recorded now; as Before where nothing was changed.
	After api.Home `json:"after"`
	// Findings are all that speak against this directory, looked up anew.
	Findings []api.HomeFinding `json:"findings,omitempty"`
	// Marked are the clusters of which a machine has the mark of this adoption, Unreached those of which none could be
	// asked.
	Marked    []string `json:"marked,omitempty"`
	Unreached []string `json:"unreached,omitempty"`
}
