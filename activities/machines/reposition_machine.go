package machines

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// RepositionInput gives a machine another placement.
type RepositionInput struct {
	Machine   activities.MachineRef `json:"machine"`
	Placement api.Placement         `json:"placement"`
	// Spec is the machine spec for which the placement was chosen. Older inputs lack it: that of the machine's pool
	// then.
	Spec *api.MachineSpec `json:"spec,omitempty"`
}

// RepositionMachine gives a machine that was never requested, or is gone, another placement under a new incarnation,
// and returns that. It returns the same if it runs twice. If the machine may exist, the error is a Conflict.
func (a *Activities) RepositionMachine(ctx context.Context, in RepositionInput) (activities.MachineRef, error) {
	const step = "choose another placement for the machine"
	old := in.Machine
	c, err := a.Store.ReadClusterObject(ctx, old.Cluster)
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	incarnation, err := api.NewIncarnation(rand.Reader)
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	m, err := a.Store.ReplaceMachine(ctx, old.Cluster, old.Index, old.Incarnation, func(m api.Machine) api.Machine {
		fresh := api.NewMachine(old.Cluster.Name, old.Index, m.Pool, incarnation, in.Placement, a.Now())
		fresh.SucceedMachine(m, a.Now())
		c.SetWanted(&fresh, in.Spec)
		return fresh
	})
	if occupied := new(store.OccupiedError); errors.As(err, &occupied) {
		err = &cloud.Error{Kind: cloud.Conflict, Cause: err, Message: "the machine may exist at its present placement"}
	}
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	ref := activities.MachineRefOf(old.Cluster, *m)
	_, err = a.ensureHostKey(ctx, ref, m)
	return ref, activities.StepError(ctx, step, old.Name, err)
}
