package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/pkg/api"
)

// A launch that the workflow gave up may still create a machine after the others were terminated. So the cloud's list
// is checked again, this often.
const (
	terminateRounds     = 10
	terminateRoundDelay = 5 * time.Second
)

// terminateAllMachines terminates all machines that the cluster may have, and confirms that none is left.
func terminateAllMachines(ctx workflow.Context, kind activityKind, ref api.Ref) error {
	for round := 1; ; round++ {
		err := terminateKnownMachines(ctx, kind, ref)
		if errorReason(err) != activities.ReasonLeft || round == terminateRounds {
			return err
		}
		if err := workflow.Sleep(ctx, terminateRoundDelay); err != nil {
			return err
		}
	}
}

// terminateKnownMachines terminates, side by side, all machines that are in etcd or in the cloud's list.
func terminateKnownMachines(ctx workflow.Context, kind activityKind, ref api.Ref) error {
	var existing []machines.ExistingMachine
	if err := kind.runForResult(ctx, ref.Name+": list the machines", &existing, machineActivities.Existing,
		ref); err != nil {
		return err
	}
	pending := make([]workflow.Future, len(existing))
	for i, m := range existing {
		in := machines.TerminateInput{Cluster: ref, Name: m.Name, Incarnation: m.Incarnation, ID: m.ID,
			Index: m.Index, Unrecorded: m.Unrecorded}
		pending[i] = kind.startActivity(ctx, m.Name+": terminate", machineActivities.Terminate, in)
	}
	var failed error
	for _, f := range pending {
		failed = errors.Join(failed, f.Get(ctx, nil))
	}
	if failed != nil {
		return failed
	}
	return kind.runActivity(ctx, ref.Name+": confirm that nothing is left", machineActivities.Release, ref)
}
