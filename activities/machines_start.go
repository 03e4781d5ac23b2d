package activities

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// StartMachine starts a machine that was stopped, and records where it is now.
func (a *Machines) StartMachine(ctx context.Context, m MachineRef) error {
	const step = "start the machine"
	c, of, owner, err := a.readClusterAndCloud(ctx, m.Cluster)
	if err != nil {
		return StepError(ctx, step, m.Name, err)
	}
	record, err := findMachineRecord(c, m)
	if err != nil {
		return StepError(ctx, step, m.Name, err)
	}
	starter, can := of.(cloud.Starter)
	if !can {
		return StepError(ctx, step, m.Name, &cloud.Error{Kind: cloud.Infeasible,
			Message: "this cloud can't start a machine that was stopped"})
	}
	boot, cancel := WithDeadline(ctx, a.Deadlines.Boot)
	defer cancel()
	up, err := starter.StartMachine(boot, cloudTargetOf(owner, *record), record.PrivateAddress)
	if err != nil {
		return StepError(ctx, step, m.Name, asDeadlineError(boot, err))
	}
	if err := a.recordCostEstimated(ctx, *record, m); err != nil {
		return StepError(ctx, step, m.Name, err)
	}
	return StepError(ctx, step, m.Name, a.recordNewAddress(ctx, c, m, up))
}
