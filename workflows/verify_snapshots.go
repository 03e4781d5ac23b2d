package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// verification restores one snapshot apart.
var verification = activityKind{attempt: time.Hour, heartbeat: heartbeatTimeout, total: 90 * time.Minute}

// VerifySnapshots verifies the snapshots whose verification is requested, one at a time: each needs a host of its own.
// It ends when none is left. A signal says that another one was requested.
func VerifySnapshots(ctx workflow.Context) error {
	requests := workflow.GetSignalChannel(ctx, operation.SignalChanged)
	for {
		for requests.ReceiveAsync(nil) { // the list is newer
		}
		var due []snapshots.CheckRef
		if err := etcdWrite.runForResult(ctx, "list the snapshots to verify", &due,
			snapshotVerifier.ListSnapshotChecks); err != nil {
			return err
		}
		for _, ref := range due {
			if err := verifySnapshot(ctx, ref); err != nil {
				return err
			}
		}
		switch {
		case len(due) > 0 && requests.Len() == 0: // each run has a short history
			return workflow.NewContinueAsNewError(ctx, VerifySnapshots)
		case requests.Len() == 0:
			return nil
		}
	}
}

// verifySnapshot verifies a snapshot, or records why that is not possible.
func verifySnapshot(ctx workflow.Context, ref snapshots.CheckRef) error {
	err := verification.runActivity(ctx, ref.Cluster.Name+": verify snapshot "+ref.Name,
		snapshotVerifier.VerifySnapshot, ref)
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	return etcdWrite.runActivity(ctx, "record that snapshot "+ref.Name+" could not be verified",
		snapshotVerifier.FailSnapshotCheck, snapshots.FailedCheck{Ref: ref, Failure: failureOf(err)})
}
