package record

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// BeginResult is what Provision has to know about a cluster when it starts.
type BeginResult struct {
	// Placement is where machines of an earlier create may still exist.
	Placement *api.Placement `json:"placement,omitempty"`
	// Pools are the placements of the pools whose machines are elsewhere than Placement.
	Pools []api.PoolPlacement `json:"pools,omitempty"`
	// Tried are the placements that this create has already tried.
	Tried []api.Placement `json:"tried,omitempty"`
	// Settled: there is nothing to provision: the cluster is READY, in ERROR or STOPPED, or it is being restored.
	Settled bool `json:"settled,omitempty"`
	// GPUs: the cluster needs a GPU stack before it is READY.
	GPUs bool `json:"gpus,omitempty"`
}

// Begin marks the cluster as being provisioned, and pins the release that all its machines install. It pins it again
// unless machines may already have it.
func (a *Activities) Begin(ctx context.Context, in operation.ProvisionInput) (BeginResult, error) {
	const step = "begin"
	ref := in.Cluster
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return BeginResult{}, activities.StepError(ctx, step, "", err)
	}
	if isSettled(c) {
		return BeginResult{Settled: true}, nil // the caller saw an older state
	}
	artifacts := c.Status.Artifacts
	if artifacts == nil || !in.Continued && !api.AnyMachineMayExist(c.Status.Machines) {
		pinned, err := a.RKE2.Pin(ctx, c.Spec)
		if err != nil {
			return BeginResult{}, activities.RecordCreateBlocked(ctx, a.Store, c, a.Now(),
				activities.StepError(ctx, "choose the RKE2 release", "", err))
		}
		artifacts = &pinned
	}
	machines := c.Status.Machines
	c, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			return errDeleting
		}
		c.Status.SetPhase(api.PhaseProvisioning, "", a.Now())
		c.Status.Failure = nil
		c.Status.RemoveCondition(api.CreateBegun)
		if !in.Continued {
			c.Status.Attempts = nil
		}
		c.Status.Artifacts = artifacts
		c.Status.Versions.RKE2 = artifacts.Version
		return nil
	})
	if errors.Is(err, errDeleting) {
		return BeginResult{}, temporal.NewNonRetryableApplicationError("the cluster is being deleted",
			activities.ReasonDeleting,
			nil)
	}
	if err != nil {
		return BeginResult{}, activities.StepError(ctx, step, "", err)
	}
	begun := BeginResult{Placement: c.Status.Placement, Pools: placementsOfPools(c.Status.Placement, machines),
		GPUs: c.Spec.ManagesGPUs()}
	for _, attempt := range c.Status.Attempts {
		begun.Tried = append(begun.Tried, attempt.Placement)
	}
	return begun, nil
}

func isSettled(c *api.Cluster) bool {
	switch c.Status.Phase {
	case api.PhaseReady, api.PhaseError, api.PhaseStopped:
		return true
	}
	return c.Status.Restore != nil && c.Status.Phase != api.PhaseDeleting
}

// placementsOfPools returns the placements of the pools whose machines may exist elsewhere than the control plane's.
func placementsOfPools(controlPlane *api.Placement, machines []api.Machine) []api.PoolPlacement {
	var pools []api.PoolPlacement
	for _, m := range machines {
		if controlPlane == nil || m.Role == api.RoleHead || !m.State.MayExist() ||
			api.FindPoolPlacement(pools, m.PoolName(), *controlPlane) == m.Placement {
			continue
		}
		pools = append(pools, api.PoolPlacement{Pool: m.PoolName(), Placement: m.Placement})
	}
	return pools
}

var errDeleting = errors.New("deleting")

// WantedState is what etcd requests for a cluster whose operation failed.
type WantedState struct {
	Deleted bool `json:"deleted,omitempty"`
	// KeepMachines: machines stay after a failure.
	KeepMachines bool `json:"keep_machines,omitempty"`
	// Next is the workflow type that has to run: Restore or Stop; empty if neither is requested.
	Next string `json:"next,omitempty"`
}

// Wanted reads what is requested for the cluster now. It fails with ReasonGone if the cluster no longer exists.
func (a *Activities) Wanted(ctx context.Context, ref api.Ref) (WantedState, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return WantedState{}, activities.StepError(ctx, "read the cluster", "", err)
	}
	return WantedState{Deleted: c.Status.Phase == api.PhaseDeleting, KeepMachines: c.Status.KeepOnFailure,
		Next: operation.RequestedOperation(c)}, nil
}

// clearMachineStatus removes the status that described machines which are gone.
func clearMachineStatus(s *api.ClusterStatus) {
	s.Conditions, s.Endpoint, s.Resources = nil, "", api.Resources{}
}
