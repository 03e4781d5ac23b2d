package plan

import "github.com/sky-shift/skyctl/pkg/api"

// maxSuspects bounds the machines that are looked at over SSH in one sweep of a cluster.
const maxSuspects = 20

// FindSuspects are the places whose machines have to be looked at over SSH before anything can be decided. A healthy
// cluster has none.
func FindSuspects(c *api.Cluster, w Observation) []int {
	if c.Status.Phase != api.PhaseReady || w.CloudError != "" {
		return nil
	}
	d := newPlanner(c, w, Policy{})
	if d.isAPISilent() {
		head := d.places[0]
		if head == nil || isStopped(d.listedMachine(head)) && w.canStartMachine(d.listedMachine(head)) {
			return nil
		}
		return []int{0} // about the others nothing is decided until it answers
	}
	var found []int
	for i := range wantedMachineCount(c) {
		m := d.places[i]
		if m == nil || m.State != api.MachineReady || d.isNodeReady(m) {
			continue
		}
		// one that is not listed may answer, where the listing is behind
		if !isStopped(d.listedMachine(m)) && len(found) < maxSuspects {
			found = append(found, i)
		}
	}
	return found
}

func isStopped(l *ListedMachine) bool { return l != nil && l.Stopped }
