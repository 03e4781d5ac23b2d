package snapshots

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// dueChecks returns the snapshots whose verification is requested, those that wait longest first.
func dueChecks(all []api.Snapshot) []api.Snapshot {
	due := slices.DeleteFunc(slices.Clone(all), func(s api.Snapshot) bool { return !s.Check.IsDue() })
	slices.SortStableFunc(due, func(a, b api.Snapshot) int { return a.Check.AskedAt.Compare(b.Check.AskedAt) })
	return due[:min(maxChecks, len(due))]
}

// describeCheck says what a verification that has just ended found.
func describeCheck(s api.Snapshot, problem string) string {
	switch s.Check.Result {
	case api.SnapshotProven:
		return fmt.Sprintf("restored apart, it has all %d keys at revision %d", s.Check.Keys, s.Revision)
	case api.SnapshotDamaged:
		return problem
	}
	return "it could not be verified: " + problem
}

// newCheckEvent returns the event for a verification that has ended.
func newCheckEvent(s api.Snapshot) api.Event {
	took := s.Check.At.Sub(s.Check.StartedAt).Round(time.Second)
	e := api.Event{Cluster: s.Cluster, UID: s.ClusterUID, Type: api.EventWarning,
		Message: fmt.Sprintf("snapshot %s: %s (found within %s)", s.Name, s.Check.Message, took)}
	switch s.Check.Result {
	case api.SnapshotProven:
		e.Type, e.Reason = api.EventNormal, "SnapshotVerified"
	case api.SnapshotDamaged:
		e.Reason = "SnapshotDamaged"
	default:
		e.Reason = "SnapshotNotVerified"
	}
	return e
}
