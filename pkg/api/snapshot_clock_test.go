package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// keptEvery30m are scheduled snapshots that are kept, the newest first.
func keptEvery30m(n int, newest time.Time) []api.Snapshot {
	var all []api.Snapshot
	for i := range n {
		all = append(all, api.Snapshot{Name: fmt.Sprintf("s%d", i), Reason: api.SnapshotScheduled,
			State: api.SnapshotKept, TakenAt: newest.Add(-time.Duration(i) * 30 * time.Minute)})
	}
	return all
}

// A computer that starts without its time, or gets a wrong one, loses no snapshot by that.
func TestClockThatJumpsRemovesNoSnapshot(t *testing.T) {
	known := keptEvery30m(48, snapshotNow)
	for _, jump := range []time.Duration{-50 * 365 * 24 * time.Hour, -3 * time.Hour, 3 * time.Hour,
		365 * 24 * time.Hour} {
		if pruned := api.SnapshotsToPrune(api.SnapshotPolicy{}, known, nil, snapshotNow.Add(jump)); len(pruned) > 0 {
			t.Errorf("%d snapshots are pruned after a jump of %s", len(pruned), jump)
		}
	}
}

// Snapshots that were taken while a clock was ahead displace none that are taken afterwards.
func TestSnapshotsFromTheFutureDisplaceNoOthers(t *testing.T) {
	policy := api.SnapshotPolicy{}
	known := slices.Concat(keptEvery30m(48, snapshotNow.Add(365*24*time.Hour)), keptEvery30m(3, snapshotNow))
	if pruned := api.SnapshotsToPrune(policy, known, nil, snapshotNow); len(pruned) > 0 {
		t.Errorf("pruned %v", pruned)
	}
	known = known[:48]
	if !api.IsSnapshotDue(policy, known, snapshotNow) {
		t.Error("none is due until the time of those that exist")
	}
	if next := api.NextSnapshotLook(policy, known, snapshotNow).Sub(snapshotNow); next > time.Minute {
		t.Errorf("the next look is after %s", next)
	}
	onServer := []api.ServerSnapshot{{File: "new", Scheduled: true, TakenAt: snapshotNow}}
	if got := api.SelectServerSnapshots(policy, known, onServer, snapshotNow); len(got) != 1 {
		t.Errorf("the server's snapshot is not collected: %v", got)
	}
}

func TestSnapshotsAreLookedAtAfterTheClockWasSetBack(t *testing.T) {
	c := &api.Cluster{}
	c.Status.Phase = api.PhaseReady
	c.Status.Snapshots = &api.SnapshotStatus{Schedule: c.Spec.Snapshots.Schedule(),
		LookedAt: snapshotNow.Add(365 * 24 * time.Hour), NextAt: snapshotNow.Add(365*24*time.Hour + time.Minute)}
	if !c.NeedsSnapshotLook(snapshotNow) {
		t.Error("they are not looked at for a year")
	}
	s := api.Snapshot{State: api.SnapshotTaken, OnMachine: true, FailedAt: snapshotNow.Add(time.Hour)}
	if !s.IsRetryDue(snapshotNow) {
		t.Error("a failed one is not tried until the clock is there again")
	}
}

// A laptop that was closed, or a server that is silent, for longer than keep_for.
func TestOldSnapshotsStayUntilNewOnesAreThere(t *testing.T) {
	known := keptEvery30m(40, snapshotNow.Add(-30*24*time.Hour))
	if pruned := api.SnapshotsToPrune(api.SnapshotPolicy{}, known, nil, snapshotNow); len(pruned) > 0 {
		t.Errorf("%d are pruned", len(pruned))
	}
	known = append(known, api.Snapshot{Name: "new", Reason: api.SnapshotScheduled, State: api.SnapshotKept,
		TakenAt: snapshotNow})
	if pruned := api.SnapshotsToPrune(api.SnapshotPolicy{}, known, nil, snapshotNow); len(pruned) != 40 {
		t.Errorf("%d are pruned", len(pruned))
	}
}

// A storage that refuses everything must not fill the disk of the server, on which its etcd is.
func TestSnapshotsThatCannotBeKeptDoNotFillTheServer(t *testing.T) {
	known := keptEvery30m(20, snapshotNow)
	for i := range known {
		known[i].State, known[i].OnMachine, known[i].AskedAt = api.SnapshotTaken, true, known[i].TakenAt
	}
	pruned := api.SnapshotsToPrune(api.SnapshotPolicy{}, known, nil, snapshotNow)
	if len(pruned) != 15 || pruned[14].Name != "s5" {
		t.Errorf("%d are pruned, the last is %+v", len(pruned), pruned[max(0, len(pruned)-1)])
	}
	for i := range known {
		known[i].AskedAt = time.Time{} // the server's own schedule removes them
	}
	if pruned := api.SnapshotsToPrune(api.SnapshotPolicy{}, known, nil, snapshotNow); len(pruned) > 0 {
		t.Errorf("%d of the server's own are pruned", len(pruned))
	}
}

func TestSilentServerIsLookedAtLessAndLessOften(t *testing.T) {
	var status api.ClusterStatus
	at := snapshotNow
	for range 100 {
		status.Snapshots = status.BeginSnapshotLook(api.SnapshotStatus{LookedAt: at, Problem: "it is silent"})
		at = status.Snapshots.NextAt
	}
	if first := snapshotNow.Add(time.Minute); status.Snapshots.Since != snapshotNow || !at.After(first) ||
		at.Sub(status.Snapshots.LookedAt) != 10*time.Minute {
		t.Errorf("after 100 looks: %+v", status.Snapshots)
	}
	failed := []api.Snapshot{{State: api.SnapshotTaken, OnMachine: true, TakenAt: snapshotNow.Add(-time.Hour),
		FailedAt: snapshotNow}}
	if next := api.NextSnapshotLook(api.SnapshotPolicy{Every: "6h"}, failed, snapshotNow); next.Before(
		snapshotNow.Add(10 * time.Minute)) {
		t.Errorf("the next look is %s before the next try", snapshotNow.Add(10*time.Minute).Sub(next))
	}
}
