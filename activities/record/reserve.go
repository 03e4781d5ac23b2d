package record

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// ReserveInput asks for the machines of a cluster in one placement.
type ReserveInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
}

// Reserve writes a machine for every place of the cluster into etcd, before anything is launched: those that an
// earlier try left there in this placement are kept, every other place gets a new incarnation. The keys that the
// machines need are made here, once. Attempts that overlap end with the same machines.
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

// newIncarnations is a new incarnation for every place of the cluster. It remembers what those before it have cost,
// which ends with their being gone: nothing else does once it has taken their place.
func (a *Activities) newIncarnations(c *api.Cluster, placement api.Placement) ([]api.Machine, error) {
	before := map[int]api.Machine{}
	for _, m := range c.Status.Machines {
		before[m.Index] = m
	}
	machines := make([]api.Machine, c.Spec.NumNodes)
	for i := range machines {
		incarnation, err := api.NewIncarnation(rand.Reader)
		if err != nil {
			return nil, err
		}
		machines[i] = api.NewMachine(c.Metadata.Name, i, incarnation, placement, a.Now())
		if old, ok := before[i]; ok {
			machines[i].CarryOverCost(old, a.Now())
		}
	}
	return machines, nil
}
