package plan

import (
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// suspectsAtMost bounds the machines that are looked at over SSH in one sweep of a cluster.
const suspectsAtMost = 20

// Suspects are the places whose machines have to be looked at over SSH before anything can be decided. A healthy cluster has
// none.
func Suspects(c *api.Cluster, w World) []int {
	if c.Status.Phase != api.PhaseReady || w.CloudError != "" {
		return nil
	}
	d := &deciding{c: c, w: w}
	var found []int
	for i := range c.Spec.NumNodes {
		m := d.record(i)
		if m == nil || m.State != api.MachineReady || len(found) == suspectsAtMost {
			continue
		}
		l := d.listed(m)
		head := m.Role == api.RoleHead
		switch {
		case l != nil && l.Stopped:
		case w.APIError != "":
			if head {
				found = append(found, i)
			}
		case l != nil && !w.Nodes[m.NodeName].Ready:
			found = append(found, i)
		}
	}
	return found
}

// maxNodes is more machines than a cluster may have; see api.ClusterSpec's validation.
const maxNodes = 10000

// Valid says whether a cluster makes sense at all. One that somebody edited into nonsense is left alone: there is no telling
// what is wanted.
func Valid(c *api.Cluster) error {
	switch {
	case !c.Status.Phase.Valid():
		return fmt.Errorf("status.phase is %q, which is no phase", c.Status.Phase)
	case c.Spec.NumNodes < 1 || c.Spec.NumNodes > maxNodes:
		return fmt.Errorf("spec.num_nodes is %d; it should be at least 1", c.Spec.NumNodes)
	case c.Metadata.UID == "":
		return errors.New("metadata.uid is empty")
	}
	taken := map[int]bool{}
	for _, m := range c.Status.Machines {
		switch {
		case m.Index < 0 || taken[m.Index]:
			return fmt.Errorf("two machines are in place %d, or it is no place", m.Index)
		case m.Name != api.MachineName(c.Metadata.Name, m.Index):
			return fmt.Errorf("the machine in place %d is named %q instead of %q", m.Index, m.Name, api.MachineName(c.Metadata.Name, m.Index))
		case m.Role != api.RoleOf(m.Index):
			return fmt.Errorf("machine %s has the role %q", m.Name, m.Role)
		case m.Incarnation == "":
			return fmt.Errorf("machine %s has no incarnation", m.Name)
		}
		taken[m.Index] = true
	}
	if c.Status.Phase != api.PhaseReady {
		return nil
	}
	if c.Status.Placement == nil {
		return errors.New("the cluster is READY and has no placement")
	}
	for i := range c.Spec.NumNodes {
		if !taken[i] {
			return fmt.Errorf("the cluster is READY and has no machine on record in place %d of %d", i, c.Spec.NumNodes)
		}
	}
	return nil
}
