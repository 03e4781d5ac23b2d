package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Stop takes a snapshot of a cluster off its machines, checks it, and ends all machines. Until the cluster is STOPPED,
// a failure leaves it as it was. If it is to be deleted or started by the end, Stop continues as Delete or Restore.
func Stop(ctx workflow.Context, in operation.StopInput) error {
	s := &stopRun{cluster: in.Cluster}
	err := s.stopCluster(ctx)
	if workflow.IsContinueAsNewError(err) {
		return err
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if err != nil {
		return s.endFailedStop(clean, err)
	}
	return s.continueAsRequested(clean)
}

// stopRun is the state of one run of Stop.
type stopRun struct {
	cluster api.Ref
	begun   record.StopBegun
}

func (s *stopRun) stopCluster(ctx workflow.Context) error {
	name := s.cluster.Name
	if err := etcdWrite.runForResult(ctx, name+": begin", &s.begun, clusterActivities.BeginStop,
		s.cluster); err != nil {
		return err
	}
	if s.begun.Nothing {
		return continueIfChanged(ctx, s.cluster)
	}
	if !s.begun.Stopped {
		if err := s.keepState(ctx); err != nil {
			return err
		}
		s.begun.Stopped = true
	}
	if err := terminateAllMachines(ctx, cleanup, s.cluster); err != nil {
		return err
	}
	return etcdWrite.runActivity(ctx, name+": record that the machines are gone", clusterActivities.FinishStop,
		s.cluster)
}

// keepState takes a snapshot, reads it again where it is kept, and marks the cluster STOPPED.
func (s *stopRun) keepState(ctx workflow.Context) error {
	snapshot, _, err := takeSnapshot(ctx, s.cluster, api.SnapshotBeforeStop)
	if err != nil {
		return err
	}
	check := nodes.SnapshotInput{Cluster: s.cluster, Restore: api.RestoreRequest{Snapshot: snapshot,
		SnapshotUID: s.cluster.UID, Mode: api.RestoreNewMachines}}
	if err := snapshotRead.runActivity(ctx, snapshot+": check the snapshot", nodeActivities.CheckSnapshot,
		check); err != nil {
		return err
	}
	return etcdWrite.runActivity(ctx, s.cluster.Name+": mark STOPPED", clusterActivities.MarkStopped,
		record.MarkStoppedInput{Cluster: s.cluster, AskedAt: s.begun.AskedAt, Snapshot: snapshot})
}

// continueAsRequested continues as what was requested meanwhile.
func (s *stopRun) continueAsRequested(ctx workflow.Context) error {
	wanted, end := readWantedState(ctx, s.cluster)
	switch {
	case errorReason(end) == activities.ReasonGone:
		return nil
	case end != nil:
		return end
	case wanted.Next != "":
		return workflow.NewContinueAsNewError(ctx, wanted.Next, operation.NewRequestedInput(wanted.Next, s.cluster))
	}
	return continueIfChanged(ctx, s.cluster)
}

// endFailedStop records why a cluster was not stopped. A STOPPED cluster with machines stays that: the next sweep ends
// them. A stop that was cancelled is still requested.
func (s *stopRun) endFailedStop(ctx workflow.Context, err error) error {
	if _, end := readWantedState(ctx, s.cluster); end != nil {
		if errorReason(end) == activities.ReasonGone {
			return nil
		}
		return end
	}
	if temporal.IsCanceledError(err) || errorReason(err) == activities.ReasonStillWanted {
		return err
	}
	failure := failureOf(err)
	if err := outcomeWrite.runActivity(ctx, s.cluster.Name+": record the failure", clusterActivities.FailStop,
		record.FailStopInput{Cluster: s.cluster, AskedAt: s.begun.AskedAt, Failure: failure}); err != nil {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}
