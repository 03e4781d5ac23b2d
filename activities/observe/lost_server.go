package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/store"
)

// observeSnapshot finds the snapshot from which a cluster is restored if its head is gone. It reads none while the head
// is there.
func (a *Activities) observeSnapshot(ctx context.Context, c *api.Cluster, observation *plan.Observation) error {
	if !plan.NeedsSnapshot(c, *observation) {
		return nil
	}
	all, err := a.Store.ListSnapshots(ctx, c.Metadata.UID)
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return err
	}
	all = c.DropUndoneSnapshots(all)
	observation.Snapshot = api.NewestUsableSnapshot(all)
	observation.NoSnapshot = describeUnusable(all)
	return nil
}

// describeUnusable says why none of a cluster's snapshots is usable; empty if one is, or there is none.
func describeUnusable(all []api.Snapshot) string {
	kept := func(s api.Snapshot) bool { return s.State == api.SnapshotKept }
	switch {
	case len(all) == 0 || slices.ContainsFunc(all, api.Snapshot.IsUsable):
		return ""
	case slices.ContainsFunc(all, kept):
		return "a verification found that no snapshot that is kept off the machines can be restored"
	}
	return "no snapshot of it is kept off the machines: of the newest, " + all[0].Name + ", the state is " +
		string(all[0].State)
}

// newLostServerRepair returns the record of the restore of a lost head. The planner counts such records, so that it
// does not restore a cluster again and again. It is nil if the decision has no restore.
func newLostServerRepair(c *api.Cluster, d plan.Decision, now time.Time) *api.Repair {
	head, err := c.Head()
	if d.Restore == nil || err != nil {
		return nil
	}
	return &api.Repair{ID: api.NewRestoreID(uuid.NewString()), At: now, Action: api.Action{Kind: api.ActionRestore,
		Index: head.Index, Machine: head.Name, Incarnation: head.Incarnation, Reason: api.DriftHeadLost,
		Message: fmt.Sprintf("the server is lost, and restored on another machine from snapshot %s",
			d.Restore.Snapshot)}}
}

// requestRestore writes the restore that a decision asks for into the record, which starts it. It reports whether it
// did: since before was read, another observation may have requested it, or a person something else.
func requestRestore(c, before *api.Cluster, d plan.Decision, repair *api.Repair) bool {
	if repair == nil || c.Status.Restore != nil || c.Status.Stop != nil || !c.Status.PausedAt.IsZero() ||
		c.Metadata.Generation != before.Metadata.Generation || countRestores(c) != countRestores(before) {
		return false
	}
	wanted := *d.Restore
	wanted.ID = repair.ID
	c.Status.Restore = &wanted
	c.Status.BeginRepair(*repair)
	return true
}

func countRestores(c *api.Cluster) int {
	n := 0
	for _, r := range c.Status.Repairs {
		if r.Action.Kind == api.ActionRestore {
			n++
		}
	}
	return n
}

func (a *Activities) recordRestoreEvent(ctx context.Context, c *api.Cluster, repair *api.Repair) {
	a.recordEventNow(ctx, activities.NewEvent(c, repair.Action.Machine, api.EventWarning, string(repair.Action.Kind),
		"started: "+repair.Action.Message))
}
