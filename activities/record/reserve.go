package record

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// ReserveInput requests the machines of a cluster in one placement.
type ReserveInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
}

// Reserve records a machine for every index of the cluster before anything is launched. Machines that an earlier create
// recorded in this placement stay; every other index gets a new incarnation. It creates the keys of the machines, once.
// Calls that overlap return the same machines.
func (a *Activities) Reserve(ctx context.Context, in ReserveInput) ([]activities.MachineRef, error) {
	const step = "reserve machines"
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	fresh, err := a.newIncarnations(c, in.Placement)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	machines, err := a.Store.ReserveMachines(ctx, in.Cluster, fresh, func(m api.Machine) bool {
		return m.State == api.MachineGone || m.Placement != in.Placement && !m.State.MayExist()
	})
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	for _, m := range machines {
		if m.Placement != in.Placement {
			return nil, activities.StepError(ctx, step, m.Name, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"it may still exist in %s/%s (%s): delete the cluster first", m.Placement.Cloud, m.Placement.Region,
				m.State)})
		}
	}
	if err := a.ensureClusterKeys(ctx, in.Cluster, machines); err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	if err := a.Store.RecordCloudUse(ctx, in.Placement.Cloud, a.Now()); err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	kept := api.AnyMachineMayExist(machines)
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Placement = &in.Placement
		if !kept {
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	refs := make([]activities.MachineRef, len(machines))
	for i, m := range machines {
		refs[i] = activities.MachineRefOf(in.Cluster, m)
	}
	return refs, nil
}

// newIncarnations returns a new incarnation for every index of the cluster. Each one carries the cost of the earlier
// ones, which are gone: once it replaces them, nothing else records that.
func (a *Activities) newIncarnations(c *api.Cluster, placement api.Placement) ([]api.Machine, error) {
	before := map[int]api.Machine{}
	for _, m := range c.Status.Machines {
		before[m.Index] = m
	}
	pools := poolsByIndex(c.Spec)
	machines := make([]api.Machine, len(pools))
	for i, pool := range pools {
		incarnation, err := api.NewIncarnation(rand.Reader)
		if err != nil {
			return nil, err
		}
		machines[i] = api.NewMachine(c.Metadata.Name, i, pool, incarnation, placement, a.Now())
		if old, ok := before[i]; ok {
			machines[i].CarryOverCost(old, a.Now())
		}
	}
	return machines, nil
}

// poolsByIndex returns the pool of each machine of a new cluster by its index: servers first, whose pool is empty.
func poolsByIndex(spec api.ClusterSpec) []string {
	pools := make([]string, spec.ControlPlane.Replicas)
	for _, p := range spec.Pools {
		for range p.Replicas {
			pools = append(pools, p.Name)
		}
	}
	return pools
}
