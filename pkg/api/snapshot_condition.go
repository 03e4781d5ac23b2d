package api

import (
	"fmt"
	"slices"
	"time"
)

// SnapshotStatus is what KeepSnapshots has found last.
type SnapshotStatus struct {
	// LookedAt is when it last looked at the cluster's snapshots, and NextAt when it will again.
	LookedAt time.Time `json:"looked_at,omitzero"`
	NextAt   time.Time `json:"next_at,omitzero"`
	// Schedule is that of the spec at that time.
	Schedule string `json:"schedule,omitempty"`
	// Problem is why the server or the storage could not be asked; empty if they answered. Since is its start.
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// The reasons of ConditionSnapshotsCurrent.
const (
	SnapshotsReasonCurrent  = "Current"
	SnapshotsReasonOff      = "Off"
	SnapshotsReasonFirst    = "NoSnapshotYet"
	SnapshotsReasonTooOld   = "TooOld"
	SnapshotsReasonNoServer = "NoServer"
	SnapshotsReasonClock    = "ClockInDoubt"
)

// snapshotSlack is how much older than its interval the newest snapshot may be: it has to be taken and collected.
func snapshotSlack(every time.Duration) time.Duration {
	return max(2*time.Minute, min(every/2, 30*time.Minute))
}

// SnapshotsCondition returns ConditionSnapshotsCurrent of a cluster from its snapshots. looked is what is known by now;
// the LookedAt in the cluster's status is that of the time before, so a gap between them says that skyd did not run.
func SnapshotsCondition(c *Cluster, known []Snapshot, looked SnapshotStatus, now time.Time) Condition {
	every := c.Spec.Snapshots.Interval()
	condition := Condition{Type: ConditionSnapshotsCurrent, Status: ConditionUnknown}
	newest := NewestUsableSnapshot(c.DropUndoneSnapshots(known))
	switch {
	case every == 0:
		condition.Reason, condition.Message = SnapshotsReasonOff, "no snapshots are taken by schedule (snapshot_every)"
		return condition
	case c.Status.Phase == PhaseStopped:
		condition.Reason = SnapshotsReasonNoServer
		condition.Message = "the cluster is stopped; it is started from its snapshot"
		return condition
	case newest != nil && newest.IsFromFuture(now):
		condition.Status, condition.Reason = ConditionFalse, SnapshotsReasonClock
		condition.Message = fmt.Sprintf("snapshot %s seems to be of %s, in the future: a clock was wrong, so it is "+
			"unknown which snapshot is the newest. To delete it: skyctl delete snapshot %s --cluster %s", newest.Name,
			formatSnapshotTime(newest.TakenAt), newest.Name, c.Metadata.Name)
		return condition
	case newest != nil && now.Sub(newest.TakenAt) <= every+snapshotSlack(every):
		condition.Status, condition.Reason = ConditionTrue, SnapshotsReasonCurrent
		condition.Message = fmt.Sprintf("snapshot %s of %s is in %s", newest.Name, formatSnapshotTime(newest.TakenAt),
			DescribeSnapshotPlace(newest.Place))
		return condition
	}
	why := explainOldSnapshots(c, known, looked, now)
	if newest == nil {
		if condition.Reason = SnapshotsReasonFirst; why == "" && now.Sub(c.readySince()) <= every+snapshotSlack(every) {
			condition.Message = "no snapshot has been taken yet"
			return condition
		}
		condition.Status, condition.Message = ConditionFalse, "no snapshot is kept off the machines"
	} else {
		condition.Status, condition.Reason = ConditionFalse, SnapshotsReasonTooOld
		condition.Message = fmt.Sprintf("the newest snapshot that is kept off the machines is of %s; one is due "+
			"every %s",
			formatSnapshotTime(newest.TakenAt), Duration(every))
	}
	if why != "" {
		condition.Message += ": " + why
	}
	return condition
}

// explainOldSnapshots says why there is no newer snapshot; empty if nothing is known.
func explainOldSnapshots(c *Cluster, known []Snapshot, looked SnapshotStatus, now time.Time) string {
	if looked.Problem != "" {
		return looked.Problem
	}
	if why, _ := c.WhyNoSnapshot(); why != "" {
		return why
	}
	failed := slices.DeleteFunc(slices.Clone(known), func(s Snapshot) bool {
		return s.Failure == "" || s.State == SnapshotKept || s.State == SnapshotDeleting
	})
	if len(failed) > 0 {
		last := slices.MaxFunc(failed, func(a, b Snapshot) int { return a.FailedAt.Compare(b.FailedAt) })
		return fmt.Sprintf("snapshot %s: %s", last.Name, last.Failure)
	}
	before := c.Status.Snapshots
	if before != nil && !before.NextAt.IsZero() && now.Sub(before.NextAt) > 2*maxSnapshotRetry {
		return fmt.Sprintf("skyd did not run, or this computer slept, from %s to %s",
			formatSnapshotTime(before.LookedAt), formatSnapshotTime(now))
	}
	return ""
}

func formatSnapshotTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// readySince is when the cluster last became READY, or was created.
func (c *Cluster) readySince() time.Time {
	for _, t := range slices.Backward(c.Status.Transitions) {
		if t.Phase == PhaseReady {
			return t.At
		}
	}
	return c.Metadata.CreatedAt
}

// NeedsSnapshotLook reports whether the snapshots of a cluster have to be looked at now.
func (c *Cluster) NeedsSnapshotLook(now time.Time) bool {
	if c.Status.Phase != PhaseReady && (c.Status.Phase != PhaseError || !c.Status.WasReady()) {
		return false
	}
	last := c.Status.Snapshots
	if r := c.Status.Restored; last != nil && r != nil && last.LookedAt.Before(r.At) {
		return true // what was known then may be of a state that the restore has left
	}
	return last == nil || !now.Before(last.NextAt) || last.Schedule != c.Spec.Snapshots.Schedule() ||
		last.LookedAt.Sub(now) > clockTolerance // skyd's clock was set back
}

// BeginSnapshotLook completes what KeepSnapshots found: a problem that lasts keeps its start, and is looked at less and
// less often.
func (s *ClusterStatus) BeginSnapshotLook(looked SnapshotStatus) *SnapshotStatus {
	if looked.Problem != "" {
		looked.Since = looked.LookedAt
		if before := s.Snapshots; before != nil && before.Problem != "" {
			looked.Since = before.Since
		}
		pause := min(max(looked.LookedAt.Sub(looked.Since)/4, minSnapshotRetry), maxSnapshotRetry)
		looked.NextAt = looked.LookedAt.Add(pause)
	}
	return &looked
}
