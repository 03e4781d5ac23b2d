package observe

import (
	"context"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// startRequested starts the Restore or Stop that a cluster's record asks for, unless the command that wrote it is about
// to start it.
func (a *Activities) startRequested(ctx context.Context, c *api.Cluster, found *operation.DriftedCluster,
	workflow string) (*operation.DriftedCluster, error) {
	if a.Now().Sub(requestedSince(c, workflow)) < startGrace {
		return nil, nil
	}
	return found, a.startOperation(ctx, c, found, api.DriftNeverStarted, workflow,
		operation.NewRequestedInput(workflow, c.Ref()))
}

// requestedSince is when a person requested the operation; zero if no person did.
func requestedSince(c *api.Cluster, workflow string) time.Time {
	switch {
	case workflow == operation.WorkflowRestore && c.Status.Restore.Reason != api.RestoreServerLost:
		return c.Status.Restore.AskedAt
	case workflow == operation.WorkflowStop && c.Status.Stop != nil:
		return c.Status.Stop.AskedAt
	}
	return time.Time{}
}

// sweepStopped leaves a stopped cluster alone, unless its cloud lists a machine of it: Stop ends that, too. A cloud
// that does not answer is asked again by the next sweep.
func (a *Activities) sweepStopped(ctx context.Context, c *api.Cluster, found *operation.DriftedCluster,
	listed providerListing) (*operation.DriftedCluster, error) {
	own, err := a.listOwnMachines(ctx, c, listed.machines[c.Metadata.UID])
	if err != nil || len(own) == 0 {
		return nil, err
	}
	found.Why = "the cloud lists " + own[0].Name + " although the cluster is stopped"
	return found, a.startNext(ctx, c, found, operation.WorkflowStop,
		operation.NewRequestedInput(operation.WorkflowStop, c.Ref()))
}

// listOwnMachines returns the listed machines that are certainly the cluster's: no copies, and none in conflict.
func (a *Activities) listOwnMachines(ctx context.Context, c *api.Cluster, listed []cloud.Machine) ([]cloud.Machine,
	error) {
	if len(listed) == 0 {
		return nil, nil
	}
	conflicts, err := a.findConflicts(ctx, listed)
	return slices.DeleteFunc(slices.Clone(listed), func(m cloud.Machine) bool {
		return conflicts[m.Key()] != "" || slices.ContainsFunc(c.Status.Machines, func(r api.Machine) bool {
			id := activities.RecordedCloudID(r)
			return r.Incarnation == m.Incarnation && id != "" && m.ID != "" && id != m.ID
		})
	}), err
}
