package record

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MarkLeavingInput says that a machine is to be removed for good.
type MarkLeavingInput struct {
	Machine activities.MachineRef `json:"machine"`
	Reason  api.LeaveReason       `json:"reason"`
}

// MarkLeaving records that a machine is to be removed for good. Nothing revokes that. A machine that leaves already
// keeps its reason, and one without a record has left. A server is never marked: the error is a Conflict. A removal may
// have waited for others: if its pool was scaled up meanwhile, the error is a StillWanted.
func (a *Activities) MarkLeaving(ctx context.Context, in MarkLeavingInput) error {
	m := in.Machine
	if in.Reason == api.LeaveScaledDown {
		c, err := activities.ReadCluster(ctx, a.Store, m.Cluster)
		if err == nil {
			err = checkSurplus(c, m)
		}
		if err != nil {
			return activities.StepError(ctx, "mark the machine as leaving", m.Name, err)
		}
	}
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.Role == api.RoleHead {
			return &cloud.Error{Kind: cloud.Conflict,
				Message: fmt.Sprintf("machine %s is a server, which stays", r.Name)}
		}
		if r.Leaving == "" {
			r.Leaving = in.Reason
		}
		return nil
	})
	if missing := new(store.NotFoundError); errors.As(err, &missing) && missing.What != "" {
		return nil
	}
	return activities.StepError(ctx, "mark the machine as leaving", m.Name, err)
}

// checkSurplus returns an error if the pool of a machine has no more machines than replicas. A machine that leaves
// already, or has no record, is none of them.
func checkSurplus(c *api.Cluster, m activities.MachineRef) error {
	at := slices.IndexFunc(c.Status.Machines, func(r api.Machine) bool { return r.Index == m.Index })
	if at < 0 || c.Status.Machines[at].Leaving != "" {
		return nil
	}
	pool := c.Spec.FindPool(c.Status.Machines[at].PoolName())
	if pool == nil {
		return nil
	}
	count := 0
	for _, r := range c.Status.Machines {
		if r.PoolName() == pool.Name && r.Leaving == "" {
			count++
		}
	}
	if count > pool.Replicas {
		return nil
	}
	return &stillWantedError{machine: m.Name, pool: pool.Name, replicas: pool.Replicas}
}

// stillWantedError says that a machine was to be removed, and is not any more.
type stillWantedError struct {
	machine, pool string
	replicas      int
}

func (e *stillWantedError) Error() string {
	return fmt.Sprintf("machine %s stays: pool %s should have %s now", e.machine, e.pool,
		api.FormatMachines(e.replicas))
}

// Reason is StillWanted.
func (e *stillWantedError) Reason() string { return activities.ReasonStillWanted }

// Final is true: the planner decides again.
func (e *stillWantedError) Final() bool { return true }
