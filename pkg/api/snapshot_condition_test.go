package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestConditionSaysWhySnapshotsAreTooOld(t *testing.T) {
	kept := func(ago time.Duration) api.Snapshot {
		return api.Snapshot{Name: "auto-1", State: api.SnapshotKept, Place: api.SnapshotPlaceSkyd,
			TakenAt: snapshotNow.Add(-ago)}
	}
	taken := kept(time.Minute)
	taken.State, taken.Failure, taken.FailedAt = api.SnapshotTaken, "the quota of 20 GiB is reached", snapshotNow
	wanted := api.Snapshot{Name: "auto-2", State: api.SnapshotWanted, Failure: "etcd has no room",
		FailedAt: snapshotNow}
	for name, c := range map[string]struct {
		known  []api.Snapshot
		looked api.SnapshotStatus
		change func(*api.Cluster)
		status api.ConditionStatus
		says   string
	}{
		"current":        {known: []api.Snapshot{kept(40 * time.Minute)}, status: api.ConditionTrue, says: "auto-1"},
		"before a first": {status: api.ConditionUnknown, says: "no snapshot has been taken yet"},
		"never": {status: api.ConditionFalse, says: "no snapshot is kept off the machines",
			change: func(c *api.Cluster) {
				c.Status.Transitions[0].At = snapshotNow.Add(-2 * time.Hour)
			}},
		"too old": {known: []api.Snapshot{kept(3 * time.Hour)}, status: api.ConditionFalse,
			says: "due every 30m"},
		"from the future": {known: []api.Snapshot{kept(-time.Hour), kept(time.Minute)}, status: api.ConditionFalse,
			says: "in the future"},
		"no room": {known: []api.Snapshot{kept(3 * time.Hour), taken}, status: api.ConditionFalse,
			says: "quota"},
		"cannot be taken": {known: []api.Snapshot{kept(3 * time.Hour), wanted}, status: api.ConditionFalse,
			says: "no room"},
		"a silent server": {known: []api.Snapshot{kept(3 * time.Hour)}, status: api.ConditionFalse,
			looked: api.SnapshotStatus{Problem: "the server does not answer"}, says: "the server does not answer"},
		"a laptop that slept": {known: []api.Snapshot{kept(8 * time.Hour)}, status: api.ConditionFalse,
			says: "slept, from 2026-11-29 04:20:00 UTC to 2026-11-29 12:00:00 UTC", change: func(c *api.Cluster) {
				c.Status.Snapshots = &api.SnapshotStatus{LookedAt: snapshotNow.Add(-460 * time.Minute),
					NextAt: snapshotNow.Add(-450 * time.Minute)}
			}},
		"off": {status: api.ConditionUnknown, says: "snapshot_every", change: func(c *api.Cluster) {
			c.Spec.Snapshots.Every = api.SnapshotsOff
		}},
		"damaged only": {known: []api.Snapshot{func() api.Snapshot {
			s := kept(time.Minute)
			s.Check = &api.SnapshotCheck{Result: api.SnapshotDamaged}
			return s
		}()}, status: api.ConditionUnknown},
	} {
		cl := &api.Cluster{}
		cl.Status.Phase = api.PhaseReady
		cl.Status.Transitions = []api.Transition{{Phase: api.PhaseReady, At: snapshotNow.Add(-time.Minute)}}
		if c.change != nil {
			c.change(cl)
		}
		got := api.SnapshotsCondition(cl, c.known, c.looked, snapshotNow)
		if got.Status != c.status || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %s %q, want %s %q", name, got.Status, got.Message, c.status, c.says)
		}
	}
}
