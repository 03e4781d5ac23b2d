package nodes

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/poweroff"
)

// ArmInput sets when a machine powers itself off unless it is disarmed.
type ArmInput struct {
	Machine activities.MachineRef `json:"machine"`
	At      time.Time             `json:"at"`
}

// Arm sets the power-off timer of a machine, and replaces an earlier timer.
func (a *Activities) Arm(ctx context.Context, in ArmInput) error {
	return a.runStep(ctx, in.Machine, "set the power-off timer", func(ctx context.Context, step *machineStep) error {
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		set, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
		defer cancel()
		if err := poweroff.ArmTimer(set, h, in.At.Sub(a.Now())); err != nil {
			return err
		}
		return a.recordPowerOffTime(ctx, in.Machine, in.At)
	})
}

// Disarm removes the power-off timer of a machine. It fails if the machine is already powering off.
func (a *Activities) Disarm(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "clear the power-off timer", func(ctx context.Context, step *machineStep) error {
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		disarm, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
		defer cancel()
		if err := poweroff.DisarmTimer(disarm, h); err != nil {
			return err
		}
		return a.recordPowerOffTime(ctx, m, time.Time{})
	})
}

// recordPowerOffTime records when a machine powers itself off; zero means never.
func (a *Activities) recordPowerOffTime(ctx context.Context, m activities.MachineRef, step time.Time) error {
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.PowerOffAt = step
		return nil
	})
	return err
}
