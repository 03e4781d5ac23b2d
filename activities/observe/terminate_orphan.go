package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// TerminateOrphan terminates a machine that belongs to no cluster. After its cluster's last machine, it also removes
// the cluster's resources on the cloud. It refuses if the machine belongs to a cluster by now.
func (a *Activities) TerminateOrphan(ctx context.Context, o api.Orphan) error {
	const step = "terminate the orphan"
	if err := a.Home.Confirm(ctx); err != nil {
		return activities.StepError(ctx, step, o.Name, err)
	}
	known, err := a.readKnownClusters(ctx)
	if err != nil {
		return activities.StepError(ctx, step, o.Name, err)
	}
	if o.ClusterUID == "" || known.mayOwnMachine(o.Cluster, o.ClusterUID) {
		return activities.StepError(ctx, step, o.Name,
			&cloud.Error{Kind: cloud.Conflict, Message: "it is no longer an orphan"})
	}
	onCloud := a.Clouds.CloudOfProvider(a.Clouds.ProviderName(o.Cloud))
	if onCloud == nil {
		return activities.StepError(ctx, step, o.Name,
			errors.New("no such cloud is configured on this worker: "+o.Cloud))
	}
	installation, err := a.Store.EnsureInstallationID(ctx)
	if err != nil {
		return activities.StepError(ctx, step, o.Name, err)
	}
	owner := cloud.Owner{Installation: installation, Cluster: o.Cluster, ClusterUID: o.ClusterUID}
	terminateCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	target, err := a.findOrphanTarget(terminateCtx, onCloud, owner, o)
	if err == nil && target != nil {
		err = onCloud.TerminateMachine(terminateCtx, *target)
	}
	if err != nil {
		return activities.StepError(ctx, step, o.Name, err)
	}
	left, err := cloud.ListVerified(terminateCtx, onCloud, owner, knownOfOrphan(o))
	partial := new(cloud.PartialError)
	switch elsewhere := errors.As(err, &partial) && !partial.LacksCloud(o.Cloud) &&
		o.Cloud != activities.SharedProvider; {
	case err != nil && !elsewhere:
		return activities.StepError(ctx, step, o.Name, err)
	case slices.ContainsFunc(left, func(m cloud.Machine) bool { return matchesOrphan(m, o) }):
		return activities.StepError(ctx, step, o.Name, &cloud.Error{Kind: cloud.Transient,
			Message: o.Cloud + " still lists it, or does not answer"})
	case err == nil && len(left) == 0:
		if err := onCloud.RemoveClusterResources(terminateCtx, owner); err != nil {
			return activities.StepError(ctx, step, o.Name, err)
		}
	}
	a.recordEventNow(ctx, api.Event{
		Cluster: o.Cluster, UID: o.ClusterUID, Machine: o.Name, Type: api.EventNormal, Reason: "OrphanTerminated",
		Message: fmt.Sprintf("machine %s on %s, which belonged to no cluster, was terminated", o.Name, o.Cloud),
	})
	return nil
}

// findOrphanTarget finds an orphan on its cloud again; nil if it is gone. It refuses if the orphan has come into
// conflict since it was found.
func (a *Activities) findOrphanTarget(ctx context.Context, onCloud cloud.Cloud, owner cloud.Owner,
	o api.Orphan) (*cloud.Target,
	error) {
	listed, err := cloud.ListVerified(ctx, onCloud, owner, knownOfOrphan(o))
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

// matchesOrphan reports whether a listed machine is the orphan that was found before.
func matchesOrphan(m cloud.Machine, o api.Orphan) bool {
	if o.ID != "" && m.ID != "" {
		return m.ID == o.ID
	}
	return m.Name == o.Name
}

// knownOfOrphan returns an orphan as a known machine, for a cloud that may have forgotten it.
func knownOfOrphan(o api.Orphan) cloud.KnownMachines {
	return cloud.KnownMachines{Clouds: []string{o.Cloud},
		Machines: []cloud.KnownMachine{{Cloud: o.Cloud, Name: o.Name}}}
}
