package machines

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Release removes the resources that the cloud created for the cluster as a whole, once each of its clouds has
// confirmed that no machine is left. It fails with ReasonLeft if a cloud still lists one: the workflow then terminates
// more. Copies and other machines in conflict are never terminated automatically, so they do not hold up the delete:
// they are reported, and the resources they may use stay.
func (a *Activities) Release(ctx context.Context, ref api.Ref) error {
	const step = api.StepRelease
	c, onCloud, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	left, err := a.listClusterMachines(ctx, c, onCloud, owner)
	if err != nil {
		return a.recordReleaseError(ctx, ref, err)
	}
	known, err := activities.ReadOrphanConflicts(ctx, a.Store)
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	own, conflicting := splitByConflict(c, left, known)
	if len(own) > 0 {
		return activities.StepError(ctx, step, own[0].Name, &machinesLeftError{machines: len(own)})
	}
	if len(conflicting) > 0 {
		return activities.StepError(ctx, step, "", a.recordLeftBehind(ctx, c, conflicting))
	}
	a.updateLifetimes(ctx, ref, onCloud, owner, nil)
	terminateCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	return a.recordReleaseError(ctx, ref, onCloud.RemoveClusterResources(terminateCtx, owner))
}

// machinesLeftError says that the cloud still has machines that should have been terminated.
type machinesLeftError struct{ machines int }

func (e *machinesLeftError) Error() string {
	return fmt.Sprintf("the cloud still lists %d of the cluster's machines", e.machines)
}

// Reason is ReasonLeft.
func (e *machinesLeftError) Reason() string { return activities.ReasonLeft }

// Final is true: the workflow terminates them first.
func (e *machinesLeftError) Final() bool { return true }

// recordLeftBehind reports the machines that a deleted cluster leaves behind, because they are never terminated
// automatically: in the cluster's record, for people who wait for the delete, as events, and as orphans.
func (a *Activities) recordLeftBehind(ctx context.Context, c *api.Cluster,
	conflicting []cloud.ConflictingMachine) error {
	now := a.Now()
	_, err := a.Store.UpdateCluster(ctx, c.Ref(), func(c *api.Cluster) error {
		var drift []api.Drift
		for _, k := range conflicting {
			drift = append(drift, api.Drift{Machine: k.Name, Reason: api.DriftMachineConflict, Message: k.Why,
				Next: conflictAdvice(k.Machine), Since: now})
		}
		c.Status.Drift = drift
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range conflicting {
		activities.RecordEvent(ctx, a.Store, activities.NewEvent(c, k.Name, api.EventWarning,
			string(api.DriftMachineConflict),
			k.String()+"; "+conflictAdvice(k.Machine)))
		o := activities.ToOrphan(k.Machine, a.Clouds.ProviderName(c.CloudName()), k.Why)
		o.FirstSeen = now
		if err := a.Store.AddOrphan(ctx, a.Clouds.ProviderName(c.CloudName()), o); err != nil {
			return err
		}
	}
	return nil
}

// conflictAdvice says what a person can do about a machine in conflict.
func conflictAdvice(m cloud.Machine) string {
	return fmt.Sprintf("skyctl delete orphans %s terminates it, once the cluster is gone", m.Name)
}
