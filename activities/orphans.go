package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newOrphan is how long a machine has to have been an orphan before people are told.
const newOrphan = 10 * time.Second

// cloudsUsedWithin is how long after its last use a cloud is still asked for orphans.
const cloudsUsedWithin = 48 * time.Hour

// FindOrphans asks every cloud in use for machines that carry this installation's id and belong to no cluster in etcd, and
// records since when each is known. A machine of a cluster whose object can't be understood is no orphan.
func (a *Sweeps) FindOrphans(ctx context.Context) (api.OrphansResult, error) {
	const step = "look for orphans"
	unowned, err := a.findUnowned(ctx)
	if err != nil {
		return api.OrphansResult{}, failed(ctx, step, "", err)
	}
	providers, err := a.inUse(ctx, unowned)
	if err != nil {
		return api.OrphansResult{}, failed(ctx, step, "", err)
	}
	all, err := a.list(ctx, providers) // before etcd is read: see listFor
	if err != nil {
		return api.OrphansResult{}, failed(ctx, step, "", err)
	}
	known, err := a.known(ctx)
	if err != nil {
		return api.OrphansResult{}, failed(ctx, step, "", err)
	}
	if err := a.collectUnowned(ctx, unowned, all); err != nil {
		return api.OrphansResult{}, failed(ctx, "look for records of no cluster", "", err)
	}
	var r api.OrphansResult
	for _, p := range providers {
		seen, err := a.orphansOf(ctx, p, all[p], known)
		if err != nil {
			return api.OrphansResult{}, failed(ctx, step, "", err)
		}
		partial := new(cloud.PartialError)
		if err := all[p].err; err != nil {
			r.Unasked = append(r.Unasked, p+": "+redact.Text(err.Error()))
			if !errors.As(err, &partial) {
				continue
			}
			if seen, err = a.withKnown(ctx, seen, known, partial); err != nil {
				return api.OrphansResult{}, failed(ctx, step, "", err)
			}
		}
		orphans, err := a.Store.SetOrphans(ctx, p, seen, known.owns, a.Now())
		if err != nil {
			return api.OrphansResult{}, failed(ctx, step, "", err)
		}
		for _, o := range orphans {
			if known.has(o.Cluster, o.ClusterUID) {
				continue // it is that cluster's drift, and is only remembered
			}
			if a.OrphanGrace > 0 && !partial.About(o.Cloud) && o.Conflict == "" {
				o.TerminateAt = o.FirstSeen.Add(a.OrphanGrace)
			}
			r.Orphans = append(r.Orphans, o)
		}
	}
	if err := a.spareOrphans(ctx, &r); err != nil {
		return api.OrphansResult{}, failed(ctx, step, "", err)
	}
	for i, o := range r.Orphans { // the times are final by now
		r.Orphans[i].Due = !o.TerminateAt.IsZero() && !a.Now().Before(o.TerminateAt)
	}
	for _, o := range r.Orphans {
		if a.Now().Sub(o.FirstSeen) < newOrphan {
			continue // a cluster may have been deleted between the listing and the look into etcd
		}
		a.event(ctx, api.Event{
			Cluster: o.Cluster, UID: o.ClusterUID, Machine: o.Name, Type: api.EventWarning, Reason: "Orphan",
			Message: describeOrphan(o),
		})
	}
	return r, nil
}

// withKnown adds the orphans that were known before on clouds which could not be asked: there they still may be. Until it can be
// asked their state is unknown, and their time does not come.
func (a *Sweeps) withKnown(ctx context.Context, seen []api.Orphan, known clustersKnown, unasked *cloud.PartialError) ([]api.Orphan, error) {
	before, err := a.Store.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	for _, old := range before {
		again := func(o api.Orphan) bool { return o.Name == old.Name && (o.ID == old.ID || old.Conflict == "") }
		if unasked.About(old.Cloud) && (old.Conflict != "" || !known.has(old.Cluster, old.ClusterUID)) && !slices.ContainsFunc(seen, again) {
			old.State = api.OrphanUnknown
			seen = append(seen, old)
		}
	}
	return seen, nil
}

// inUse are the providers that clusters have their machines from, now or not long ago, those that have orphans, and those of
// machines that are on record for no cluster.
func (a *Sweeps) inUse(ctx context.Context, unowned []store.Unowned) ([]string, error) {
	providers := map[string]bool{}
	all, err := a.Store.List(ctx)
	if err != nil && len(store.CorruptClusters(err)) == 0 {
		return nil, err
	}
	for _, c := range all {
		providers[a.Clouds.provider(cloudOf(&c))] = true
	}
	used, err := a.Store.CloudsUsed(ctx, a.Now().Add(-cloudsUsedWithin))
	if err != nil {
		return nil, err
	}
	orphans, err := a.Store.Orphans(ctx) // for as long as it has some, a cloud is in use
	for _, o := range orphans {
		used = append(used, o.Cloud)
	}
	for _, u := range unowned {
		for _, m := range u.Machines {
			used = append(used, m.Placement.Cloud)
		}
	}
	for _, name := range used {
		providers[a.Clouds.provider(name)] = true
	}
	return sortedKeys(providers), err
}

// clustersKnown is what etcd knows of clusters: the UIDs of those that it has, and the names of those that it has and nobody
// can read, or whose UID is not the one that its machines were launched under.
type clustersKnown struct {
	uids  map[string]bool
	names []string
	// recorded are the machines on record, by UID, those of no cluster included.
	recorded map[string][]api.Machine
}

// has says that a machine with these labels may be that of a cluster.
func (k clustersKnown) has(name, uid string) bool {
	return k.uids[uid] || slices.Contains(k.names, name)
}

// records says that a listed machine is on record under its UID: by the cloud's own id, and with the labels that it bears. It is no
// copy of another one then.
func (k clustersKnown) records(m cloud.Machine) bool {
	return m.ID != "" && slices.ContainsFunc(k.recorded[m.Owner.ClusterUID], func(r api.Machine) bool {
		return r.CloudID == m.ID && r.Index == m.Index && r.Incarnation == m.Incarnation
	})
}

// owns says that an orphan is the recorded machine of a cluster: it is none.
func (k clustersKnown) owns(o api.Orphan) bool {
	return o.ID != "" && k.uids[o.ClusterUID] && slices.ContainsFunc(k.recorded[o.ClusterUID], func(r api.Machine) bool {
		return r.CloudID == o.ID
	})
}

func (a *Sweeps) known(ctx context.Context) (clustersKnown, error) {
	all, err := a.Store.List(ctx)
	k := clustersKnown{uids: map[string]bool{}, names: store.CorruptClusters(err)}
	if err != nil && len(k.names) == 0 {
		return k, err
	}
	recorded, err := a.Store.MachineOwners(ctx)
	if err != nil {
		return k, err
	}
	if k.recorded, err = a.Store.RecordedMachines(ctx); err != nil {
		return k, err
	}
	for _, c := range all {
		k.uids[c.Metadata.UID] = true
		if c.Status.Phase == api.PhaseReady && !recorded[c.Metadata.UID] {
			k.names = append(k.names, c.Metadata.Name) // somebody edited its UID: those of the name may be its machines
		}
	}
	return k, nil
}

// orphansOf are the listed machines that belong to no cluster; and those in conflict, of which it has to be remembered once their
// cluster is no more that they are none of its own. A machine that its cluster has on record is neither.
func (a *Sweeps) orphansOf(ctx context.Context, provider string, listed listing, known clustersKnown) ([]api.Orphan, error) {
	var all []cloud.Machine
	for _, uid := range sortedKeys(listed.machines) {
		all = append(all, listed.machines[uid]...)
	}
	conflicts, err := a.findConflicts(ctx, all)
	if err != nil {
		return nil, err
	}
	orphans := []api.Orphan{}
	for i, m := range all {
		conflict, recorded := conflicts[keyOf(m)], known.records(m)
		if recorded { // the original: what spoke against it ends with its copy
			conflict = misfit(all, i)
		}
		if known.has(m.Owner.Cluster, m.Owner.ClusterUID) && (conflict == "" || recorded) {
			continue
		}
		o := orphanOf(m, provider, conflict)
		o.FirstSeen = a.Now()
		orphans = append(orphans, o)
	}
	return orphans, nil
}

// describeOrphan is an orphan for a person.
func describeOrphan(o api.Orphan) string {
	message := fmt.Sprintf("machine %s on %s belongs to no cluster that etcd knows", o.Name, o.Cloud)
	if o.Conflict != "" {
		message += fmt.Sprintf(", and nothing ends it by itself: %s; skyctl delete orphans %s ends it", o.Conflict, o.Name)
	}
	return message
}

// TerminateOrphan ends a machine that belongs to no cluster, and gives back what its cluster had on the cloud as a whole once
// that was the last. One that belongs to a cluster by now is left alone.
func (a *Sweeps) TerminateOrphan(ctx context.Context, o api.Orphan) error {
	const step = "terminate the orphan"
	if err := a.Home.Confirm(ctx); err != nil {
		return failed(ctx, step, o.Name, err)
	}
	known, err := a.known(ctx)
	if err != nil {
		return failed(ctx, step, o.Name, err)
	}
	if o.ClusterUID == "" || known.has(o.Cluster, o.ClusterUID) {
		return failed(ctx, step, o.Name, &cloud.Error{Kind: cloud.Conflict, Message: "it is no orphan any more"})
	}
	of := a.Clouds.served(a.Clouds.provider(o.Cloud))
	if of == nil {
		return failed(ctx, step, o.Name, errors.New("no such cloud is configured on this worker: "+o.Cloud))
	}
	installation, err := a.Store.Installation(ctx)
	if err != nil {
		return failed(ctx, step, o.Name, err)
	}
	owner := cloud.Owner{Installation: installation, Cluster: o.Cluster, ClusterUID: o.ClusterUID}
	end, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	target, err := a.orphanTarget(end, of, owner, o)
	if err == nil && target != nil {
		err = of.Terminate(end, *target)
	}
	if err != nil {
		return failed(ctx, step, o.Name, err)
	}
	left, err := cloud.ListKnown(end, of, owner, knownOrphan(o))
	partial := new(cloud.PartialError)
	switch elsewhere := errors.As(err, &partial) && !partial.About(o.Cloud) && o.Cloud != otherClouds; {
	case err != nil && !elsewhere:
		return failed(ctx, step, o.Name, err)
	case slices.ContainsFunc(left, func(m cloud.Machine) bool { return isOrphan(m, o) }):
		return failed(ctx, step, o.Name, &cloud.Error{Kind: cloud.Transient, Message: o.Cloud + " still lists it, or can't be asked about it"})
	case err == nil && len(left) == 0:
		if err := of.Release(end, owner); err != nil {
			return failed(ctx, step, o.Name, err)
		}
	}
	a.event(ctx, api.Event{
		Cluster: o.Cluster, UID: o.ClusterUID, Machine: o.Name, Type: api.EventNormal, Reason: "OrphanTerminated",
		Message: fmt.Sprintf("machine %s on %s, which belonged to no cluster, was terminated", o.Name, o.Cloud),
	})
	return nil
}
