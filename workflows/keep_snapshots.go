package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// The kinds of activities on snapshots. KeepSnapshots tries twice, since a worker that stops uses a try up; what fails
// is tried again by a later run. An operation that needs a snapshot tries longer.
var (
	snapshotCommand = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 10 * time.Minute,
		attempts: 2}
	// Each try of a copy starts anew: 2 GiB need four hours at 1.2 Mbit/s.
	snapshotCopy = activityKind{attempt: 4 * time.Hour, heartbeat: heartbeatTimeout, total: 8 * time.Hour, attempts: 2}
	neededTake   = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 10 * time.Minute}
	neededCopy   = activityKind{attempt: 4 * time.Hour, heartbeat: heartbeatTimeout, total: 4 * time.Hour}
	// A person waits for the copy before a restore: a storage that is away is told soon.
	restoreCopy = activityKind{attempt: 4 * time.Hour, heartbeat: heartbeatTimeout, total: 4 * time.Hour, attempts: 5}
)

// maxSnapshotRounds bounds the rounds of a run. ScheduleSnapshots starts another one if something is left.
const maxSnapshotRounds = 20

// KeepSnapshots takes, collects, prunes and deletes snapshots of a cluster until nothing is left to do now. It runs
// beside the operations on the cluster. A step that fails is recorded with its snapshot, and stops no other step.
func KeepSnapshots(ctx workflow.Context, in operation.KeepSnapshotsInput) error {
	changes := workflow.GetSignalChannel(ctx, operation.SignalChanged)
	for range maxSnapshotRounds {
		for changes.ReceiveAsync(nil) { // the assessment is newer
		}
		found, err := keepSnapshotsOnce(ctx, in.Cluster)
		if err != nil {
			return err
		}
		if found.Problem == "" && len(found.Take)+len(found.Collect)+len(found.Delete) > 0 {
			continue
		}
		if err := etcdWrite.runActivity(ctx, in.Cluster.Name+": record the state of the snapshots",
			snapshotActivities.RecordSnapshots,
			snapshots.RecordSnapshotsInput{Cluster: in.Cluster, Problem: found.Problem}); err != nil {
			return err
		}
		if changes.Len() == 0 {
			return nil
		}
	}
	return nil
}

// keepSnapshotsOnce does what is to be done now, and returns what that was.
func keepSnapshotsOnce(ctx workflow.Context, cluster api.Ref) (found snapshots.Assessment, err error) {
	if err := slowRead.runForResult(ctx, cluster.Name+": look at the snapshots", &found,
		snapshotActivities.AssessSnapshots, cluster); err != nil {
		return found, err
	}
	for _, step := range []struct {
		doing    string
		kind     activityKind
		activity any
		names    []string
	}{
		{"take", snapshotCommand, snapshotActivities.TakeSnapshot, found.Take},
		{"delete", snapshotCommand, snapshotActivities.DeleteSnapshot, found.Delete},
		{"keep", snapshotCopy, snapshotActivities.CollectSnapshot, found.Collect},
	} {
		for _, name := range step.names {
			err := step.kind.runActivity(ctx, cluster.Name+": "+step.doing+" snapshot "+name, step.activity,
				snapshots.Ref{Cluster: cluster, Name: name})
			if temporal.IsCanceledError(err) {
				return found, err
			}
			if err != nil {
				workflow.GetLogger(ctx).Warn("could not "+step.doing+" a snapshot", "snapshot", name, "error", err)
			}
		}
	}
	return found, nil
}

// takeSnapshot takes a snapshot of a cluster for an operation and keeps it off the machine. It returns its name. If it
// fails there is no usable snapshot of that name; taken says whether the server had taken it.
func takeSnapshot(ctx workflow.Context, cluster api.Ref, reason api.SnapshotReason) (
	name string, taken bool, err error) {
	asked := workflow.Now(ctx)
	name = api.NewSnapshotName(reason, asked)
	ref := snapshots.Ref{Cluster: cluster, Name: name}
	if err := etcdWrite.runActivity(ctx, cluster.Name+": request a snapshot", snapshotActivities.WantSnapshot,
		snapshots.WantInput{Ref: ref, Reason: reason, AskedAt: asked}); err != nil {
		return "", false, err
	}
	take, keep := neededTake, neededCopy
	if reason == api.SnapshotBeforeRestore {
		take, keep = snapshotCommand, restoreCopy // the server may not serve, which is why it is restored
	}
	err = take.runActivity(ctx, cluster.Name+": take snapshot "+name, snapshotActivities.TakeSnapshot, ref)
	if taken = err == nil; taken {
		err = keep.runActivity(ctx, cluster.Name+": keep snapshot "+name, snapshotActivities.CollectSnapshot, ref)
	}
	if err == nil {
		return name, true, nil
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	if failed := etcdWrite.runActivity(clean, cluster.Name+": give snapshot "+name+" up",
		snapshotActivities.FailSnapshot, ref); failed != nil {
		workflow.GetLogger(ctx).Warn("a snapshot that was given up is still wanted", "snapshot", name, "error", failed)
	}
	return "", taken, err
}

// snapshotSchedule starts what has to run, once: the next one comes soon.
var snapshotSchedule = activityKind{attempt: time.Minute, total: time.Minute, attempts: 1}

// ScheduleSnapshots starts KeepSnapshots for the clusters that need it. A schedule starts it each minute. Its result is
// the number of these clusters.
func ScheduleSnapshots(ctx workflow.Context) (started int, err error) {
	err = snapshotSchedule.runForResult(ctx, "start keeping snapshots", &started,
		snapshotActivities.StartDueSnapshots)
	return started, err
}
