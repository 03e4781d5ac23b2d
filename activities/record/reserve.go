package record

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// ReserveInput requests the machines of a cluster in one placement.
type ReserveInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
	// Pools are the placements of the pools that have another one.
	Pools []api.PoolPlacement `json:"pools,omitempty"`
	// Specs are the machine specs for which the placements were chosen, by pool; "" is the control plane. Older inputs
	// lack them: those of the cluster then.
	Specs map[string]api.MachineSpec `json:"specs,omitempty"`
}

// specOf returns the machine spec for which the placement of a pool was chosen; nil if that is unknown.
func (in ReserveInput) specOf(pool string) *api.MachineSpec {
	if spec, known := in.Specs[pool]; known {
		return &spec
	}
	return nil
}

// placementOf returns the placement of the machines of a pool; "" is the control plane.
func (in ReserveInput) placementOf(pool string) api.Placement {
	return api.FindPoolPlacement(in.Pools, pool, in.Placement)
}

// Reserve records the machines of a cluster before anything is launched. Machines that an earlier create recorded in
// their placement stay; every other one is a new incarnation. It creates the keys of the machines, once. Calls that
// overlap return the same machines.
func (a *Activities) Reserve(ctx context.Context, in ReserveInput) ([]activities.MachineRef, error) {
	const step = "reserve machines"
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	wanted, err := a.newIncarnations(c, in)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	machines, err := a.reserveWanted(ctx, in, wanted)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	for _, m := range machines {
		if m.Placement != in.placementOf(m.PoolName()) {
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
	if err := a.recordPlacement(ctx, in, machines); err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	refs := make([]activities.MachineRef, len(machines))
	for i, m := range machines {
		refs[i] = activities.MachineRefOf(in.Cluster, m)
	}
	return refs, nil
}

// reserveWanted records the wanted machines, unless an earlier one with their index can be used or may exist. It
// returns all machines but those that are gone and not wanted any longer.
func (a *Activities) reserveWanted(ctx context.Context, in ReserveInput, wanted []api.Machine) ([]api.Machine, error) {
	byIndex := map[int]api.Machine{}
	for _, m := range wanted {
		byIndex[m.Index] = m
	}
	all, err := a.Store.ReserveMachines(ctx, in.Cluster, wanted, func(m api.Machine) bool {
		w := byIndex[m.Index]
		return m.State == api.MachineGone ||
			!m.State.MayExist() && (m.Placement != w.Placement || m.PoolName() != w.PoolName() ||
				m.Spec != nil && w.Spec != nil && *m.Spec != *w.Spec)
	})
	return slices.DeleteFunc(all, func(m api.Machine) bool {
		_, is := byIndex[m.Index]
		return !is && !m.State.MayExist()
	}), err
}

// recordPlacement records where the machines are, and that their indexes are used.
func (a *Activities) recordPlacement(ctx context.Context, in ReserveInput, machines []api.Machine) error {
	kept := api.AnyMachineMayExist(machines)
	_, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Placement = &in.Placement
		for _, m := range machines {
			c.Status.NextIndex = max(c.Status.NextIndex, m.Index+1)
		}
		if !kept {
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	return err
}

// newIncarnations returns a new incarnation for every machine of the cluster that may not exist already. Each one
// carries the cost of the earlier ones with its index, which are gone: once it replaces them, nothing else records
// that.
func (a *Activities) newIncarnations(c *api.Cluster, in ReserveInput) ([]api.Machine, error) {
	before := map[int]api.Machine{}
	for _, m := range c.Status.Machines {
		before[m.Index] = m
	}
	pools := poolsByIndex(c.Spec, c.Status.Machines)
	var machines []api.Machine
	newIncarnation := api.NewIncarnations(rand.Reader, c.Status.Machines)
	for _, i := range slices.Sorted(maps.Keys(pools)) {
		incarnation, err := newIncarnation()
		if err != nil {
			return nil, err
		}
		m := api.NewMachine(c.Metadata.Name, i, pools[i], incarnation, in.placementOf(pools[i]), a.Now())
		c.SetWanted(&m, in.specOf(pools[i]))
		if old, ok := before[i]; ok {
			m.CarryOverCost(old, a.Now())
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// poolsByIndex returns the pool of each machine that a create reserves, by index: servers first, whose pool is empty.
// Machines that may exist keep their index and count for their pool; the others get the lowest free indexes.
func poolsByIndex(spec api.ClusterSpec, have []api.Machine) map[int]string {
	lacking := map[string]int{"": spec.ControlPlane.Replicas}
	order := []string{""}
	for _, p := range spec.Pools {
		lacking[p.Name], order = p.Replicas, append(order, p.Name)
	}
	pools, taken := map[int]string{}, map[int]bool{}
	for _, m := range have {
		if !m.State.MayExist() {
			continue
		}
		taken[m.Index] = true
		if pool := m.PoolName(); lacking[pool] > 0 {
			pools[m.Index] = pool
			lacking[pool]--
		}
	}
	next := 0
	for _, pool := range order {
		for range lacking[pool] {
			for taken[next] {
				next++
			}
			pools[next] = pool
			next++
		}
	}
	return pools
}
