package record

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// AddMachinesInput requests the machines that a pool lacks.
type AddMachinesInput struct {
	Cluster api.Ref `json:"cluster"`
	Pool    string  `json:"pool"`
	// Placement is where the new machines are launched first.
	Placement api.Placement `json:"placement"`
	// Asked are the machines that the placement is for. Older inputs lack it.
	Asked *api.PoolMachines `json:"asked,omitempty"`
}

// AddMachines records the machines that a pool lacks, before anything is launched, and creates their keys. It returns
// those that it recorded. It counts under compare-and-swap, so a call that is repeated or overlaps with another one
// records no machine twice. A pool that is gone or has enough machines gets none, nor does one whose machine spec has
// changed since the placement was chosen: the next round plans again. The last error of a cluster without
// free indexes has the reason IndexesUsedUp.
func (a *Activities) AddMachines(ctx context.Context, in AddMachinesInput) ([]activities.MachineRef, error) {
	const step = "add machines to the pool"
	if err := a.Store.RecordCloudUse(ctx, in.Placement.Cloud, a.Now()); err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	var unlaunched []api.Machine
	added, err := a.Store.AddMachines(ctx, in.Cluster, func(c *api.Cluster) ([]api.Machine, error) {
		if err := checkCanGrow(c); err != nil {
			return nil, err
		}
		unlaunched = listUnlaunched(c.Status.Machines, in.Pool)
		return a.newPoolMachines(c, in)
	})
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	// An earlier call may have ended before it had created the keys of its machines.
	if machines := append(unlaunched, added...); len(machines) > 0 {
		if err := a.ensureClusterKeys(ctx, in.Cluster, machines); err != nil {
			return nil, activities.StepError(ctx, step, "", err)
		}
	}
	refs := make([]activities.MachineRef, len(added))
	for i, m := range added {
		refs[i] = activities.MachineRefOf(in.Cluster, m)
	}
	return refs, nil
}

// checkCanGrow returns an error if no machine may be added to a cluster now.
func checkCanGrow(c *api.Cluster) error {
	if c.Status.Phase == api.PhaseReady || c.Status.CanBeRepaired() {
		return nil
	}
	return &wrongPhaseError{cluster: c.Metadata.Name, phase: c.Status.Phase}
}

// listUnlaunched returns the machines of a pool that are recorded and were never requested.
func listUnlaunched(machines []api.Machine, pool string) []api.Machine {
	var found []api.Machine
	for _, m := range machines {
		if m.PoolName() == pool && m.State == api.MachineReserved && m.Leaving == "" {
			found = append(found, m)
		}
	}
	return found
}

// newPoolMachines returns the machines that a pool lacks, with indexes that were never used.
func (a *Activities) newPoolMachines(c *api.Cluster, in AddMachinesInput) ([]api.Machine, error) {
	pool := c.Spec.FindPool(in.Pool)
	if pool == nil || in.Asked != nil && pool.Machines() != *in.Asked {
		return nil, nil
	}
	lacking := pool.Replicas
	for _, m := range c.Status.Machines {
		if m.PoolName() == in.Pool && (m.Leaving == "" || m.Leaving == api.LeaveOutdated) {
			lacking-- // one that is outdated makes room only once it is gone
		}
	}
	if lacking <= 0 {
		return nil, nil
	}
	last := api.MaxMachineIndex(c.Metadata.Name)
	if c.Status.NextIndex+lacking-1 > last {
		return nil, &indexesUsedUpError{cluster: c.Metadata.Name, pool: in.Pool, lacking: lacking, last: last,
			next: c.Status.NextIndex}
	}
	machines := make([]api.Machine, lacking)
	newIncarnation := api.NewIncarnations(rand.Reader, c.Status.Machines)
	for i := range machines {
		incarnation, err := newIncarnation()
		if err != nil {
			return nil, err
		}
		machines[i] = api.NewMachine(c.Metadata.Name, c.Status.NextIndex+i, in.Pool, incarnation, in.Placement, a.Now())
		c.SetWanted(&machines[i], nil)
	}
	return machines, nil
}

// wrongPhaseError says that machines cannot be added to a cluster in its phase.
type wrongPhaseError struct {
	cluster string
	phase   api.Phase
}

func (e *wrongPhaseError) Error() string {
	return fmt.Sprintf("cluster %s is %s: machines are added to READY clusters, and to those in ERROR that can be "+
		"repaired",
		e.cluster, e.phase)
}

// Reason is Deleting or WrongPhase.
func (e *wrongPhaseError) Reason() string {
	if e.phase == api.PhaseDeleting {
		return activities.ReasonDeleting
	}
	return "WrongPhase"
}

// Final is true: another operation changes the phase.
func (e *wrongPhaseError) Final() bool { return true }

// indexesUsedUpError says that a cluster has had so many machines that no name is left for another one.
type indexesUsedUpError struct {
	cluster, pool       string
	lacking, next, last int
}

func (e *indexesUsedUpError) Error() string {
	return fmt.Sprintf("pool %s of cluster %s lacks %s, but its indexes are used up: %d left, of which the last is "+
		"%d, "+
		"and none is used again; move the workload to a new cluster", e.pool, e.cluster,
		api.FormatMachines(e.lacking), max(0, e.last-e.next+1),
		e.last)
}

// Reason is IndexesUsedUp.
func (e *indexesUsedUpError) Reason() string { return "IndexesUsedUp" }

// Final is true: an index never becomes free.
func (e *indexesUsedUpError) Final() bool { return true }
