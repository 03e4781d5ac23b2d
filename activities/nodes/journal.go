package nodes

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// journalLines is how many lines of a machine's journal people see.
const journalLines = 20

// Diagnose returns the last journal lines of the machine's RKE2 unit; none if the machine never started, or is gone.
func (a *Activities) Diagnose(ctx context.Context, m activities.MachineRef) (lines []string, err error) {
	lines, err = a.readJournal(ctx, m)
	return lines, activities.StepError(ctx, "read the log", m.Name, err)
}

func (a *Activities) readJournal(ctx context.Context, m activities.MachineRef) ([]string, error) {
	_, record, err := activities.ReadMachine(ctx, a.Store, m)
	if err != nil || record.Address == "" || record.State == api.MachineGone {
		return nil, err
	}
	key, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	h, err := a.Pool.GetHost(ctx, activities.SSHTargetOf(record), key)
	if err != nil {
		return nil, err
	}
	return rke2.ReadJournal(ctx, h, m.Role, journalLines)
}
