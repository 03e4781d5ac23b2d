package machines

import (
	"cmp"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// splitByConflict splits listed machines into a cluster's own, and those whose name, labels or id conflict with that:
// copies, machines that were renamed or relabelled, and others. A delete of the cluster does not terminate those.
func splitByConflict(c *api.Cluster, listed []cloud.Machine, known map[string]string) (own []cloud.Machine,
	conflicting []cloud.ConflictingMachine) {
	for i, m := range listed {
		if why := conflictReason(c, listed, i, known[m.Key()]); why != "" {
			conflicting = append(conflicting, cloud.ConflictingMachine{Machine: m, Why: why})
		} else {
			own = append(own, m)
		}
	}
	return own, conflicting
}

// conflictReason returns why a listed machine may not be the cluster's own, or what an earlier sweep found; "" if it is
// the cluster's own.
func conflictReason(c *api.Cluster, listed []cloud.Machine, i int, before string) string {
	m := listed[i]
	for _, r := range c.Status.Machines {
		byID := r.CloudID != "" && r.CloudID == m.ID
		switch {
		case byID && (m.Incarnation != r.Incarnation || m.Index != r.Index):
			return fmt.Sprintf("it is %s by its id, and labelled as %s, incarnation %s", r.Name, m.LabelledName(),
				m.Incarnation)
		case byID:
			return ""
		}
	}
	for _, r := range c.Status.Machines {
		switch {
		case r.Incarnation != m.Incarnation:
		case activities.RecordedCloudID(r) != "" && m.ID != "":
			return fmt.Sprintf("it carries the labels of %s, which is another machine (id %s): it may be a copy",
				r.Name, r.CloudID)
		case m.Name != r.Name:
			return fmt.Sprintf("it carries the labels of %s under another name: it may be a copy", r.Name)
		default:
			return ""
		}
	}
	return cmp.Or(cloud.LabelConflict(listed, i), before)
}
