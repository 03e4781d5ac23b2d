package machines

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// StartMachine starts a stopped machine, and records its new address.
func (a *Activities) StartMachine(ctx context.Context, m activities.MachineRef) error {
	const step = "start the machine"
	c, record, err := activities.ReadMachine(ctx, a.Store, m)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	onCloud, owner, err := a.findCloudAndOwner(ctx, c)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	starter, can := onCloud.(cloud.Starter)
	if !can {
		return activities.StepError(ctx, step, m.Name, &cloud.Error{Kind: cloud.Infeasible,
			Message: "this cloud can't start stopped machines"})
	}
	bootCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Boot)
	defer cancel()
	up, err := starter.StartMachine(bootCtx, activities.CloudTargetOf(owner, *record), record.PrivateAddress)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, activities.AsDeadlineError(bootCtx, err))
	}
	if err := a.markCostEstimated(ctx, *record, m); err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	return activities.StepError(ctx, step, m.Name,
		a.recordNewAddress(ctx, c, m, keepUnlistedAddresses(record, up)))
}
