package operation

import "github.com/sky-shift/skyctl/pkg/api"

// RequestedOperation returns the workflow type that has to run on a cluster before anything else changes it: Restore or
// Stop. It is empty if the record asks for neither. The cluster has to be read with its machines: those of a stopped
// one are ended.
func RequestedOperation(c *api.Cluster) string {
	s := c.Status
	switch {
	case s.Phase == api.PhaseDeleting:
		return ""
	case s.Restore != nil && s.Restore.FailedAt.IsZero():
		return WorkflowRestore
	case s.Phase == api.PhaseStopped && api.AnyMachineMayExist(s.Machines):
		return WorkflowStop
	case s.IsStopWanted():
		return WorkflowStop
	}
	return ""
}

// NewRequestedInput returns the input of an operation that RequestedOperation names.
func NewRequestedInput(workflow string, cluster api.Ref) any {
	if workflow == WorkflowRestore {
		return RestoreInput{Cluster: cluster}
	}
	return StopInput{Cluster: cluster}
}
