package nodes

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Diagnose returns the last lines of the logs of RKE2 and its components on a machine; none if it never started,
// or is gone.
func (a *Activities) Diagnose(ctx context.Context, m activities.MachineRef) (lines []string, err error) {
	lines, err = a.readLogs(ctx, m)
	return lines, activities.StepError(ctx, "read the logs", m.Name, err)
}

func (a *Activities) readLogs(ctx context.Context, m activities.MachineRef) ([]string, error) {
	c, record, err := activities.ReadMachine(ctx, a.Store, m)
	if err != nil || record.Address == "" || record.State == api.MachineGone {
		return nil, err
	}
	key, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	h, err := a.Pool.GetHost(ctx, sshtarget.Of(c, record), key)
	if err != nil {
		return nil, err
	}
	return rke2.ReadFailureReport(ctx, h, m.Role)
}
