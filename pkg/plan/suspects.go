package plan

import "github.com/sky-shift/skyctl/pkg/api"

// maxSuspects bounds the machines of a cluster that one sweep checks over SSH.
const maxSuspects = 20

// FindSuspects returns the indexes of machines that have to be checked over SSH before Decide. A healthy cluster has
// none.
func FindSuspects(c *api.Cluster, observed Observation) []int {
	if c.Status.Phase != api.PhaseReady || observed.CloudError != "" {
		return nil
	}
	p := newPlanner(c, observed, Policy{})
	if p.isAPISilent() {
		head := p.head
		if head == nil || isStopped(p.listedMachine(head)) && observed.canStartMachine(p.listedMachine(head)) {
			return nil
		}
		return []int{head.Index} // Decide needs nothing of the others until the API answers
	}
	var found []int
	for _, m := range p.records {
		if m.State != api.MachineReady || p.isNodeReady(m) || p.leaving[m] != "" || p.runningOn(m) != nil {
			continue
		}
		// An unlisted machine is checked too: the cloud's list may be out of date.
		if !isStopped(p.listedMachine(m)) && len(found) < maxSuspects {
			found = append(found, m.Index)
		}
	}
	return found
}
