package workflows

import (
	"cmp"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Plan ranks a cloud's placements for a spec. It changes nothing.
func Plan(ctx workflow.Context, in operation.PlanInput) (result operation.PlanResult, err error) {
	err = cloudQuery.runForResult(ctx, "list placements", &result, machineActivities.CheckSpec, in)
	return result, err
}

// cloudCheck checks all clouds while a person waits.
var cloudCheck = activityKind{attempt: 2 * time.Minute, heartbeat: heartbeatTimeout, total: 3 * time.Minute}

// Check reports what a worker can reach. It changes nothing.
func Check(ctx workflow.Context, in operation.CheckInput) (result operation.CheckResult, err error) {
	err = cloudCheck.runForResult(ctx, "check "+cmp.Or(in.Cloud, "every cloud"), &result, machineActivities.Check, in)
	return result, err
}

// localDataQuery asks the API of a cluster while a person waits.
var localDataQuery = activityKind{attempt: time.Minute, total: time.Minute, attempts: 2}

// ListLocalData lists what is only on the disks of a cluster's machines. It changes nothing.
func ListLocalData(ctx workflow.Context, cluster api.Ref) (result operation.LocalDataResult, err error) {
	err = localDataQuery.runForResult(ctx, "list the volumes of the machines", &result, nodeActivities.ListLocalData,
		cluster)
	return result, err
}

// machineCheck looks at all machines of a cluster while a person waits.
var machineCheck = activityKind{attempt: 4 * time.Minute, heartbeat: heartbeatTimeout, total: 5 * time.Minute,
	attempts: 2}

// CheckMachines looks at every machine of a cluster as at a new one. It changes nothing.
func CheckMachines(ctx workflow.Context, cluster api.Ref) (result operation.CheckMachinesResult, err error) {
	err = machineCheck.runForResult(ctx, cluster.Name+": check the machines", &result, nodeActivities.CheckMachines,
		cluster)
	return result, err
}

// snapshotFileCheck reads a file that may be large and far away while a person waits.
var snapshotFileCheck = activityKind{attempt: 14 * time.Minute, heartbeat: heartbeatTimeout, total: 15 * time.Minute,
	attempts: 3}

// CheckSnapshot reads the file of a kept snapshot from its start to its end. It changes nothing.
func CheckSnapshot(ctx workflow.Context, in operation.CheckSnapshotInput) (result operation.CheckSnapshotResult,
	err error) {
	err = snapshotFileCheck.runForResult(ctx, in.Name+": check the file of the snapshot", &result,
		snapshotActivities.CheckSnapshotFile, in)
	return result, err
}
