package record

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
)

// ForgetMachine removes the record and the host key of a machine that is gone for good, and keeps what it has cost with
// its cluster. It succeeds if the record is gone; if the machine may still exist, the reason is NotGone.
func (a *Activities) ForgetMachine(ctx context.Context, m activities.MachineRef) error {
	err := a.Store.ForgetMachine(ctx, m.Cluster, m.Index, m.Incarnation)
	return activities.StepError(ctx, "forget the machine", m.Name, err)
}
