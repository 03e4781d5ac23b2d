package activities

import (
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/store"
)

// recordLeftBehind names the machines that a deleted cluster leaves behind, since nothing may end them by itself: in
// the cluster's record, which whoever waits for its end sees, as events, and as orphans, which they are from then on.
func (a *Machines) recordLeftBehind(ctx context.Context, c *api.Cluster, others []cloud.ConflictingMachine) error {
	now := a.Now()
	_, err := a.Store.UpdateCluster(ctx, c.Ref(), func(c *api.Cluster) error {
		var drift []api.Drift
		for _, k := range others {
			drift = append(drift, api.Drift{Machine: k.Name, Reason: api.DriftMachineConflict, Message: k.Why,
				Next: conflictAdvice(k.Machine), Since: now})
		}
		c.Status.Drift = drift
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range others {
		recordEvent(ctx, a.Store, newEvent(c, k.Name, api.EventWarning, string(api.DriftMachineConflict),
			k.String()+"; "+conflictAdvice(k.Machine)))
		o := toOrphan(k.Machine, a.Clouds.providerName(c.CloudName()), k.Why)
		o.FirstSeen = now
		if err := a.Store.AddOrphan(ctx, a.Clouds.providerName(c.CloudName()), o); err != nil {
			return err
		}
	}
	return nil
}

// conflictAdvice is what can be done about a machine that nothing ends by itself.
func conflictAdvice(m cloud.Machine) string {
	return fmt.Sprintf("skyctl delete orphans %s ends it, once the cluster is gone", m.Name)
}

func toOrphan(m cloud.Machine, provider, conflict string) api.Orphan {
	on := m.Cloud
	if on == "" {
		on = provider
	}
	return api.Orphan{
		Cloud: on, Name: m.Name, ID: m.ID, Cluster: m.Owner.Cluster, ClusterUID: m.Owner.ClusterUID,
		State:     string(m.State),
		CreatedAt: m.CreatedAt, PricePerHour: m.PricePerHour, Conflict: conflict,
	}
}

// recordCloudIDs takes over the clouds' own ids of machines whose records lack them, where just one listed machine
// fits.
func (a *Sweeps) recordCloudIDs(ctx context.Context, c *api.Cluster, listed []cloud.Machine) error {
	for i := range c.Status.Machines {
		r := &c.Status.Machines[i]
		id, ok := matchCloudID(*r, listed)
		if !ok || recordedCloudID(*r) != "" || r.State == api.MachineGone || r.State == api.MachineTerminating {
			continue
		}
		m, err := a.Store.UpdateMachine(ctx, c.Ref(), r.Index, r.Incarnation, func(m *api.Machine) error {
			if recordedCloudID(*m) == "" {
				m.CloudID = id
			}
			return nil
		})
		if isUnwanted(err) {
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
func (a *Sweeps) findConflicts(ctx context.Context, listed []cloud.Machine) (map[string]string, error) {
	conflicts, err := readOrphanConflicts(ctx, a.Store)
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

// readOrphanConflicts is why machines were found before to be none of their cluster's own.
func readOrphanConflicts(ctx context.Context, s *store.Store) (map[string]string, error) {
	before, err := s.ListOrphans(ctx)
	conflicts := map[string]string{}
	for _, o := range before {
		if o.Conflict != "" {
			conflicts[cloud.Machine{Name: o.Name, ID: o.ID}.Key()] = o.Conflict
		}
	}
	return conflicts, err
}

// addKnownConflicts notes on listed machines that are not on record what was found before about them.
func (a *Sweeps) addKnownConflicts(ctx context.Context, c *api.Cluster, w *plan.Observation) error {
	recorded := func(l plan.ListedMachine) bool {
		return slices.ContainsFunc(c.Status.Machines,
			func(m api.Machine) bool { return m.CloudID != "" && m.CloudID == l.ID })
	}
	if !slices.ContainsFunc(w.Listed, func(l plan.ListedMachine) bool { return !recorded(l) }) {
		return nil
	}
	conflicts, err := readOrphanConflicts(ctx, a.Store)
	for i, l := range w.Listed {
		if !recorded(l) {
			w.Listed[i].Conflict = conflicts[cloud.Machine{Name: l.Name, ID: l.ID}.Key()]
		}
	}
	return err
}

// findOrphanTarget reads an orphan again; nil where it is not there any more. One that has come into conflict since it
// was found is left alone.
func (a *Sweeps) findOrphanTarget(ctx context.Context, of cloud.Cloud, owner cloud.Owner, o api.Orphan) (*cloud.Target,
	error) {
	listed, err := cloud.ListVerified(ctx, of, owner, knownOfOrphan(o))
	if err != nil && len(listed) == 0 {
		return nil, err
	}
	conflicts, err := a.findConflicts(ctx, listed)
	if err != nil {
		return nil, err
	}
	for _, m := range listed {
		if !matchesOrphan(m, o) {
			continue
		}
		if why := conflicts[m.Key()]; why != "" && o.Conflict == "" {
			return nil, &cloud.Error{Kind: cloud.Conflict,
				Message: cloud.ConflictingMachine{Machine: m, Why: why}.String()}
		}
		target := cloud.TargetOf(m)
		return &target, nil
	}
	return nil, nil
}

// matchesOrphan says that a listed machine is an orphan that was found before.
func matchesOrphan(m cloud.Machine, o api.Orphan) bool {
	if o.ID != "" && m.ID != "" {
		return m.ID == o.ID
	}
	return m.Name == o.Name
}
