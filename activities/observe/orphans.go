package observe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// orphanReportDelay is how long a machine has to be an orphan before it is reported.
const orphanReportDelay = 10 * time.Second

// cloudUseWindow is how long after its last use a cloud is searched for orphans.
const cloudUseWindow = 48 * time.Hour

// FindOrphans lists the machines of every cloud in use that carry this installation's id and belong to no cluster in
// etcd, and records since when each of them is known. A machine is not an orphan if the record of its cluster is
// damaged.
func (a *Activities) FindOrphans(ctx context.Context) (operation.OrphansResult, error) {
	const step = "look for orphans"
	unowned, err := a.findUnowned(ctx)
	if err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
	}
	providers, err := a.listProvidersInUse(ctx, unowned)
	if err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
	}
	all, err := a.listProviders(ctx, providers) // before etcd is read: see listProviderShared
	if err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
	}
	a.removeLeftIsolated(ctx, providers)
	known, err := a.readKnownClusters(ctx)
	if err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
	}
	if err := a.setAsideUnowned(ctx, unowned, all); err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, "look for records of no cluster", "", err)
	}
	var r operation.OrphansResult
	for _, p := range providers {
		if err := a.addProviderOrphans(ctx, &r, p, all[p], known); err != nil {
			return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
		}
	}
	if err := a.postponeOrphans(ctx, &r); err != nil {
		return operation.OrphansResult{}, activities.StepError(ctx, step, "", err)
	}
	for i, o := range r.Orphans { // postponeOrphans may have changed their times
		r.Orphans[i].Due = !o.TerminateAt.IsZero() && !a.Now().Before(o.TerminateAt)
	}
	a.reportOrphans(ctx, r.Orphans)
	return r, nil
}

// removeLeftIsolated removes the hosts on which a killed worker verified snapshots.
func (a *Activities) removeLeftIsolated(ctx context.Context, providers []string) {
	for _, p := range providers {
		if isolator, ok := a.Clouds.CloudOfProvider(p).(cloud.Isolator); ok {
			isolator.RemoveLeftIsolated(ctx)
		}
	}
}

// addProviderOrphans records a provider's orphans, and adds them to a result with the time at which each is due.
func (a *Activities) addProviderOrphans(ctx context.Context, r *operation.OrphansResult, provider string,
	listed providerListing, known knownClusters) error {
	found, err := a.findProviderOrphans(ctx, provider, listed, known)
	if err != nil {
		return err
	}
	partial := new(cloud.PartialError)
	if listed.err != nil {
		r.Unasked = append(r.Unasked, provider+": "+redact.Text(listed.err.Error()))
		if !errors.As(listed.err, &partial) {
			return nil
		}
		if found, err = a.addKnownOrphans(ctx, found, known, partial); err != nil {
			return err
		}
	}
	orphans, err := a.Store.ReplaceOrphans(ctx, provider, found, known.ownsOrphan, a.Now())
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if known.mayOwnMachine(o.Cluster, o.ClusterUID) {
			continue // only remembered: its cluster reports it as drift
		}
		if a.OrphanGrace > 0 && !partial.LacksCloud(o.Cloud) && o.Conflict == "" {
			o.TerminateAt = o.FirstSeen.Add(a.OrphanGrace)
		}
		r.Orphans = append(r.Orphans, o)
	}
	return nil
}

// reportOrphans records an event for each orphan that is not new.
func (a *Activities) reportOrphans(ctx context.Context, orphans []api.Orphan) {
	for _, o := range orphans {
		if a.Now().Sub(o.FirstSeen) < orphanReportDelay {
			continue // its cluster may have been deleted between the listing and the read of etcd
		}
		a.recordEventNow(ctx, api.Event{
			Cluster: o.Cluster, UID: o.ClusterUID, Machine: o.Name, Type: api.EventWarning, Reason: "Orphan",
			Message: describeOrphan(o),
		})
	}
}

// addKnownOrphans adds the known orphans of clouds that did not answer: they may still exist. Their state is unknown
// and they are not due until the cloud answers.
func (a *Activities) addKnownOrphans(ctx context.Context, seen []api.Orphan, known knownClusters,
	unasked *cloud.PartialError) ([]api.Orphan, error) {
	before, err := a.Store.ListOrphans(ctx)
	if err != nil {
		return nil, err
	}
	for _, old := range before {
		again := func(o api.Orphan) bool { return o.Name == old.Name && (o.ID == old.ID || old.Conflict == "") }
		if unasked.LacksCloud(old.Cloud) && (old.Conflict != "" || !known.mayOwnMachine(old.Cluster, old.ClusterUID)) &&
			!slices.ContainsFunc(seen, again) {
			old.State = api.OrphanUnknown
			seen = append(seen, old)
		}
	}
	return seen, nil
}

// listProvidersInUse returns the providers of clusters, now or recently, of orphans, and of recorded machines without a
// cluster.
func (a *Activities) listProvidersInUse(ctx context.Context, unowned []store.UnownedRecords) ([]string, error) {
	providers := map[string]bool{}
	all, err := a.Store.ListClusters(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return nil, err
	}
	for _, c := range all {
		providers[a.Clouds.ProviderName(c.CloudName())] = true
	}
	used, err := a.Store.ListUsedClouds(ctx, a.Now().Add(-cloudUseWindow))
	if err != nil {
		return nil, err
	}
	orphans, err := a.Store.ListOrphans(ctx) // a cloud with orphans is in use
	for _, o := range orphans {
		used = append(used, o.Cloud)
	}
	for _, u := range unowned {
		for _, m := range u.Machines {
			used = append(used, m.Placement.Cloud)
		}
	}
	for _, name := range used {
		providers[a.Clouds.ProviderName(name)] = true
	}
	return slices.Sorted(maps.Keys(providers)), err
}

// findProviderOrphans returns the listed machines that belong to no cluster, and those in conflict with their cluster:
// once that is deleted, the conflict says that they were not its own. A machine that is recorded for its cluster is
// neither.
func (a *Activities) findProviderOrphans(ctx context.Context, provider string, listed providerListing,
	known knownClusters) ([]api.Orphan, error) {
	var all []cloud.Machine
	for _, uid := range slices.Sorted(maps.Keys(listed.machines)) {
		all = append(all, listed.machines[uid]...)
	}
	conflicts, err := a.findConflicts(ctx, all)
	if err != nil {
		return nil, err
	}
	orphans := []api.Orphan{}
	for i, m := range all {
		conflict, recorded := conflicts[m.Key()], known.hasRecordOf(m)
		if recorded { // the original: its conflict ends when the copy is gone
			conflict = cloud.LabelConflict(all, i)
		}
		if known.mayOwnMachine(m.Owner.Cluster, m.Owner.ClusterUID) && (conflict == "" || recorded) {
			continue
		}
		o := activities.ToOrphan(m, provider, conflict)
		o.FirstSeen = a.Now()
		orphans = append(orphans, o)
	}
	return orphans, nil
}

// describeOrphan is the message of an orphan's event.
func describeOrphan(o api.Orphan) string {
	message := fmt.Sprintf("machine %s on %s belongs to no cluster in etcd", o.Name, o.Cloud)
	if o.Conflict != "" {
		message += fmt.Sprintf(", and is not terminated automatically: %s; skyctl delete orphans %s terminates it",
			o.Conflict,
			o.Name)
	}
	return message
}
