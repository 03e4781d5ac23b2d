package operation

import "github.com/sky-shift/skyctl/pkg/api"

// WorkflowListLocalData lists what is only on the disks of a cluster's machines, as its Kubernetes API says. It changes
// nothing. Its input is the cluster's api.Ref.
const WorkflowListLocalData = "ListLocalData"

// MaxLocalData is how much of the data LocalDataResult lists.
const MaxLocalData = 100

// LocalDataResult is the result of WorkflowListLocalData.
type LocalDataResult struct {
	Data []api.LocalData `json:"data,omitempty"`
	// Total is how much there is; Data has at most MaxLocalData.
	Total int `json:"total"`
}
