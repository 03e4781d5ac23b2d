package operation

import "github.com/sky-shift/skyctl/pkg/api"

// Workflow types of snapshots. Restore and Stop are operations under WorkflowID: what they do is in the cluster's
// status (Status.Restore, Status.Stop). KeepSnapshots takes, collects and removes the snapshots of one cluster, beside
// its operations. ScheduleSnapshots starts it for the clusters that need it. VerifySnapshots verifies what was
// requested, one snapshot at a time.
const (
	WorkflowRestore           = "Restore"
	WorkflowStop              = "Stop"
	WorkflowKeepSnapshots     = "KeepSnapshots"
	WorkflowScheduleSnapshots = "ScheduleSnapshots"
	WorkflowVerifySnapshots   = "VerifySnapshots"
)

// SnapshotScheduleID is the id of the Temporal Schedule that starts ScheduleSnapshots, and the prefix of its workflow
// ids. VerifySnapshotsID is the workflow id of WorkflowVerifySnapshots.
const (
	SnapshotScheduleID = "snapshot-schedule"
	VerifySnapshotsID  = "snapshot-checks"
)

// KeepSnapshotsID is the workflow id of WorkflowKeepSnapshots.
func KeepSnapshotsID(cluster string) string { return "snapshots/" + cluster }

// RestoreInput is the input of WorkflowRestore.
type RestoreInput struct {
	Cluster api.Ref `json:"cluster"`
}

// StopInput is the input of WorkflowStop.
type StopInput struct {
	Cluster api.Ref `json:"cluster"`
}

// KeepSnapshotsInput is the input of WorkflowKeepSnapshots. The cluster may be deleted: what is left of its snapshots
// can still be removed.
type KeepSnapshotsInput struct {
	Cluster api.Ref `json:"cluster"`
}
