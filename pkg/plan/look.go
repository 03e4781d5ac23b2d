package plan

import "github.com/sky-shift/skyctl/pkg/api"

// suspectsAtMost bounds the machines that are looked at over SSH in one sweep of a cluster.
const suspectsAtMost = 20

// Suspects are the places whose machines have to be looked at over SSH before anything can be decided. A healthy cluster has
// none.
func Suspects(c *api.Cluster, w World) []int {
	if c.Status.Phase != api.PhaseReady || w.CloudError != "" {
		return nil
	}
	d := newDeciding(c, w, Policy{})
	if d.silentAPI() {
		head := d.places[0]
		if head == nil || stopped(d.listed(head)) && w.canStart(d.listed(head)) {
			return nil
		}
		return []int{0} // about the others nothing is decided until it answers
	}
	var found []int
	for i := range numPlaces(c) {
		m := d.places[i]
		if m == nil || m.State != api.MachineReady || d.nodeReady(m) {
			continue
		}
		if !stopped(d.listed(m)) && len(found) < suspectsAtMost { // one that is not listed may answer, where the listing is behind
			found = append(found, i)
		}
	}
	return found
}

func stopped(l *Listed) bool { return l != nil && l.Stopped }
