package plan

import "github.com/sky-shift/skyctl/pkg/api"

// maxSuspects bounds the machines that are looked at over SSH in one sweep of a cluster.
const maxSuspects = 20

// FindSuspects are the places whose machines have to be looked at over SSH before anything can be decided. A healthy
// cluster has none.
func FindSuspects(c *api.Cluster, observed Observation) []int {
	if c.Status.Phase != api.PhaseReady || observed.CloudError != "" {
		return nil
	}
	p := newPlanner(c, observed, Policy{})
	if p.isAPISilent() {
		head := p.machines[0]
		if head == nil || isStopped(p.listedMachine(head)) && observed.canStartMachine(p.listedMachine(head)) {
			return nil
		}
		return []int{0} // about the others nothing is decided until it answers
	}
	var found []int
	for i := range wantedMachineCount(c) {
		m := p.machines[i]
		if m == nil || m.State != api.MachineReady || p.isNodeReady(m) {
			continue
		}
		// one that is not listed may answer, where the listing is behind
		if !isStopped(p.listedMachine(m)) && len(found) < maxSuspects {
			found = append(found, i)
		}
	}
	return found
}
