package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestUndoneSnapshotsAreNotRestoredAgain(t *testing.T) {
	at := func(minute int) time.Time { return snapshotNow.Add(time.Duration(minute) * time.Minute) }
	taken := func(name string, minute int) api.Snapshot {
		return api.Snapshot{Name: name, ClusterUID: "own", State: api.SnapshotKept, TakenAt: at(minute)}
	}
	ahead := taken("before-restore", 25) // by the clock of a machine that is ahead
	ahead.AskedAt = at(20)
	all := []api.Snapshot{taken("older", 0), taken("restored", 10), taken("regretted", 15), ahead, taken("newer", 30)}
	back := &api.RestoreResult{Snapshot: "restored", StateOf: at(10), At: at(21)}
	foreign := &api.RestoreResult{Snapshot: "restored", StateOf: at(-100), At: at(21), OtherCluster: true}
	for name, tt := range map[string]struct {
		restored *api.RestoreResult
		known    []api.Snapshot
		want     string
		newest   string
	}{
		"never restored":        {nil, all, "older restored regretted before-restore newer", "newer"},
		"a newer one was taken": {back, all, "older restored newer", "newer"},
		"no newer one yet":      {back, all[:4], "older restored", "restored"},
		"another cluster's":     {foreign, all, "newer", "newer"},
		"another's, none yet":   {foreign, all[:4], "", ""},
	} {
		c := api.Cluster{Metadata: api.Metadata{UID: "own"}, Status: api.ClusterStatus{Restored: tt.restored}}
		var names []string
		for _, s := range c.DropUndoneSnapshots(tt.known) {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %q are left, want %q", name, got, tt.want)
		}
		other := taken("of-another-cluster", 40)
		other.ClusterUID = "other"
		protected := api.ProtectedSnapshots([]api.Cluster{c}, append(slices.Clone(tt.known), other))["own"]
		if tt.newest != "" && !protected[tt.newest] || tt.newest == "" && len(protected) > 0 || len(protected) > 1 {
			t.Errorf("%s: %v are protected, want %q", name, protected, tt.newest)
		}
	}
	if len(all) != 5 || !slices.ContainsFunc(all, func(s api.Snapshot) bool { return s.Name == "regretted" }) {
		t.Error("the snapshots that were given have changed")
	}
}

func TestSnapshotsAreLookedAtAfterARestore(t *testing.T) {
	c := &api.Cluster{Status: api.ClusterStatus{Phase: api.PhaseReady,
		Restored:  &api.RestoreResult{At: snapshotNow},
		Snapshots: &api.SnapshotStatus{LookedAt: snapshotNow.Add(-time.Minute), NextAt: snapshotNow.Add(time.Hour)}}}
	c.Status.Snapshots.Schedule = c.Spec.Snapshots.Schedule()
	if !c.NeedsSnapshotLook(snapshotNow) {
		t.Error("the look before the restore counts")
	}
	c.Status.Snapshots.LookedAt = snapshotNow.Add(time.Second)
	if c.NeedsSnapshotLook(snapshotNow.Add(time.Second)) {
		t.Error("there is a look after each look")
	}
}
