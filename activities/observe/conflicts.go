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

// recordCloudIDs takes over the clouds' own ids of machines whose records lack them, where just one listed machine
// fits.
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
			continue // its place was given to another one meanwhile
		}
		if err != nil {
			return fmt.Errorf("record the id of machine %s: %w", r.Name, err)
		}
		r.CloudID = m.CloudID
	}
	return nil
}

// matchCloudID is the id of the one listed machine that bears the name and the labels of a record.
func matchCloudID(r api.Machine, listed []cloud.Machine) (id string, ok bool) {
	for _, m := range listed {
		switch {
		case m.Incarnation != r.Incarnation:
		case m.Name != r.Name, m.Index != r.Index, m.ID == "", ok && m.ID != id:
			return "", false // a copy is about
		default:
			id, ok = m.ID, true
		}
	}
	return id, ok
}

// findConflicts says of listed machines, by their keys, why nothing may end them by itself: what name and labels tell,
// and what was found while there was still another one to compare with.
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

// addKnownConflicts notes on listed machines that are not on record what was found before about them.
func (a *Activities) addKnownConflicts(ctx context.Context, c *api.Cluster, w *plan.Observation) error {
	recorded := func(l plan.ListedMachine) bool {
		return slices.ContainsFunc(c.Status.Machines,
			func(m api.Machine) bool { return m.CloudID != "" && m.CloudID == l.ID })
	}
	if !slices.ContainsFunc(w.Listed, func(l plan.ListedMachine) bool { return !recorded(l) }) {
		return nil
	}
	conflicts, err := activities.ReadOrphanConflicts(ctx, a.Store)
	for i, l := range w.Listed {
		if !recorded(l) {
			w.Listed[i].Conflict = conflicts[cloud.Machine{Name: l.Name, ID: l.ID}.Key()]
		}
	}
	return err
}
