package observe

import (
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// recordCloudIDs records the clouds' own ids of machines whose records lack them, if exactly one listed machine fits.
func (a *Activities) recordCloudIDs(ctx context.Context, c *api.Cluster, listed []cloud.Machine) error {
	for i := range c.Status.Machines {
		r := &c.Status.Machines[i]
		id, ok := matchCloudID(*r, listed)
		if !ok || activities.RecordedCloudID(*r) != "" || r.State == api.MachineGone ||
			r.State == api.MachineTerminating {
			continue
		}
		m, err := a.Store.UpdateMachine(ctx, c.Ref(), r.Index, r.Incarnation, func(m *api.Machine) error {
			if activities.RecordedCloudID(*m) == "" {
				m.CloudID = id
			}
			return nil
		})
		if activities.IsUnwanted(err) {
			continue // another incarnation has its index now
		}
		if err != nil {
			return fmt.Errorf("record the id of machine %s: %w", r.Name, err)
		}
		r.CloudID = m.CloudID
	}
	return nil
}

// matchCloudID returns the id of the only listed machine with the name and the labels of a record.
func matchCloudID(r api.Machine, listed []cloud.Machine) (id string, ok bool) {
	for _, m := range listed {
		switch {
		case m.Incarnation != r.Incarnation:
		case m.Name != r.Name, m.Index != r.Index, m.ID == "", ok && m.ID != id:
			return "", false // there is a copy of it
		default:
			id, ok = m.ID, true
		}
	}
	return id, ok
}

// findConflicts returns, by their keys, why listed machines are not terminated automatically: because of their names
// and labels, or because of what an earlier sweep found.
func (a *Activities) findConflicts(ctx context.Context, listed []cloud.Machine) (map[string]string, error) {
	conflicts, err := activities.ReadOrphanConflicts(ctx, a.Store)
	if err != nil {
		return nil, err
	}
	for i, m := range listed {
		if why := cloud.LabelConflict(listed, i); why != "" {
			conflicts[m.Key()] = why
		}
	}
	return conflicts, nil
}

// addKnownConflicts adds to listed machines without a record the conflicts that an earlier sweep found.
func (a *Activities) addKnownConflicts(ctx context.Context, c *api.Cluster, observation *plan.Observation) error {
	recorded := func(l plan.ListedMachine) bool {
		return slices.ContainsFunc(c.Status.Machines,
			func(m api.Machine) bool { return m.CloudID != "" && m.CloudID == l.ID })
	}
	if !slices.ContainsFunc(observation.Listed, func(l plan.ListedMachine) bool { return !recorded(l) }) {
		return nil
	}
	conflicts, err := activities.ReadOrphanConflicts(ctx, a.Store)
	for i, l := range observation.Listed {
		if !recorded(l) {
			observation.Listed[i].Conflict = conflicts[cloud.Machine{Name: l.Name, ID: l.ID}.Key()]
		}
	}
	return err
}
