// Package workflows holds the durable operations on clusters. Its code is deterministic: it decides what happens in
// which order, and calls activities for everything that has side effects.
package workflows

import (
	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
)

// The activities by subject. Workflows name their methods and never call them, so nil will do.
var (
	clusterActivities  *record.Activities
	machineActivities  *machines.Activities
	nodeActivities     *nodes.Activities
	sweepActivities    *observe.Activities
	gpuActivities      *gpustack.Activities
	snapshotActivities *snapshots.Activities
	snapshotVerifier   *snapshots.Verifier
)

// All returns the workflows that a worker registers and whose histories can be replayed.
func All() []any {
	return []any{Provision, Delete, Converge, BringUp, Repair, Restore, Stop, Sweep, Orphans, Adopt, KeepSnapshots,
		ScheduleSnapshots, VerifySnapshots}
}
