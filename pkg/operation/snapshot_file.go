package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowCheckSnapshot reads the file of a snapshot that is kept off the machines from its start to its end, and
// compares its checksum. It changes nothing.
const WorkflowCheckSnapshot = "CheckSnapshot"

// CheckSnapshotInput is the input of WorkflowCheckSnapshot.
type CheckSnapshotInput struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
}

// CheckSnapshotResult is the result of WorkflowCheckSnapshot.
type CheckSnapshotResult struct {
	// Problem says what is wrong with the file; empty if it is what RKE2 took.
	Problem string `json:"problem,omitempty"`
}
