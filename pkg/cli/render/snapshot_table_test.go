package render

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestSnapshotTableAndPage(t *testing.T) {
	all := fixture.NewSnapshots()
	existing := map[string]bool{fixture.NewReadyCluster().Metadata.UID: true}
	golden.Compare(t, "snapshots.txt", NewSnapshotTable(all, existing, false, fixture.Noon).String())
	golden.Compare(t, "snapshots-wide.txt", NewSnapshotTable(all, existing, true, fixture.Noon).String())
	golden.Compare(t, "describe-snapshot.txt",
		SnapshotPage{Snapshot: all[2], ClusterExists: true, Now: fixture.Noon}.String())
	golden.Compare(t, "describe-snapshot-of-deleted.txt",
		SnapshotPage{Snapshot: all[len(all)-1], Now: fixture.Noon}.String())
	golden.Compare(t, "describe-snapshot-failing.txt",
		SnapshotPage{Snapshot: all[1], ClusterExists: true, Now: fixture.Noon}.String())
}

func TestDescribeShowsSnapshotsAndTheLastRestore(t *testing.T) {
	c := fixture.NewReadyCluster()
	c.Spec.Snapshots = api.SnapshotPolicy{Every: "1h", VerifyEvery: "24h", S3URL: "s3://backups/train",
		S3Secret: "login"}
	c.Status.Restored = &api.RestoreResult{Snapshot: "before-migration", Reason: api.RestoreServerLost,
		StateOf: fixture.TimeAgo(time.Hour), Until: fixture.TimeAgo(20 * time.Minute),
		StartedAt: fixture.TimeAgo(12 * time.Minute), At: fixture.TimeAgo(9 * time.Minute)}
	c.Status.SetCondition(api.Condition{Type: api.ConditionSnapshotsCurrent, Status: api.ConditionFalse,
		Reason: "TooOld", Message: "the newest is 3h old: the quota is reached"}, fixture.TimeAgo(time.Hour))
	golden.Compare(t, "describe-restored.txt",
		ClusterPage{Cluster: c, Snapshots: fixture.NewSnapshots()[:6], Now: fixture.Noon}.String())
}

func TestStatusNamesRestoresStopsAndStarts(t *testing.T) {
	under := &api.OperationStatus{Doing: "taking a snapshot to stop"}
	restore := func(reason api.RestoreReason) *api.RestoreRequest {
		return &api.RestoreRequest{Snapshot: "one", Reason: reason}
	}
	for want, st := range map[string]api.ClusterStatus{
		"STOPPED": {Phase: api.PhaseStopped, Stop: &api.StopRequest{Snapshot: "one"}},
		"STOPPED (ending the machines)": {Phase: api.PhaseStopped,
			Operation: &api.OperationStatus{Doing: "ending the machines"}},
		"STOPPED (starting from one)":       {Phase: api.PhaseStopped, Restore: restore(api.RestoreStart)},
		"READY (stopping)":                  {Phase: api.PhaseReady, Stop: &api.StopRequest{}, Operation: under},
		"READY (restoring from one)":        {Phase: api.PhaseReady, Restore: restore(api.RestoreAsked)},
		"PROVISIONING (restoring from one)": {Phase: api.PhaseProvisioning, Restore: restore(api.RestoreServerLost)},
		"PROVISIONING (starting from one)": {Phase: api.PhaseProvisioning, Restore: restore(api.RestoreStart),
			Stop: &api.StopRequest{Snapshot: "one"}},
		"ERROR":    {Phase: api.PhaseError, Restore: restore(api.RestoreAsked)},
		"DELETING": {Phase: api.PhaseDeleting, Restore: restore(api.RestoreAsked), Stop: &api.StopRequest{}},
	} {
		if got := formatStatus(&api.Cluster{Status: st}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStoppedClusterHasNoMachinesAndNoPrice(t *testing.T) {
	c := fixture.NewReadyCluster()
	c.Status.SetPhase(api.PhaseStopped, "Stop", fixture.TimeAgo(time.Minute))
	c.Status.Stop = &api.StopRequest{Snapshot: "stop-1", AskedAt: fixture.TimeAgo(2 * time.Minute)}
	for i := range c.Status.Machines {
		c.Status.Machines[i].SetState(api.MachineGone, "", fixture.TimeAgo(time.Minute))
	}
	c.Status.Conditions, c.Status.Endpoint, c.Status.Resources = nil, "", api.Resources{} // as Stop leaves them
	golden.Compare(t, "describe-stopped.txt", ClusterPage{Cluster: c, Now: fixture.Noon}.String())
	golden.Compare(t, "table-stopped.txt", NewClusterTable([]api.Cluster{*c}, true, fixture.Noon).String())
}

func TestRestoreSaysWhatIsLost(t *testing.T) {
	const kept = "If the server answers, the present state is kept first as another snapshot; if that fails, " +
		"nothing is changed."
	const mayBeLost = "If it can take a snapshot, the present state is kept first; otherwise the restore goes on " +
		"without it."
	drift := func(reason api.DriftReason) func(*api.Cluster) {
		return func(c *api.Cluster) { c.Status.SetDrift([]api.Drift{{Reason: reason}}, fixture.Noon) }
	}
	for _, tt := range []struct {
		newMachines, foreign, discard bool
		change                        func(*api.Cluster)
		want                          []string
	}{
		{want: []string{"Changes of the last 1h00m are lost.", "Its verification: proven 10m00s ago",
			"The machines and their volumes stay.", kept}},
		{newMachines: true, want: []string{"machines and the data on their disks end; others are launched.", kept}},
		{newMachines: true, foreign: true, want: []string{"the state of cluster old",
			"All of the present state is replaced.", kept}},
		{newMachines: true, discard: true, want: []string{"is not kept as a snapshot (--discard-state)."}},
		{newMachines: true, change: drift(api.DriftNodeNotReady), want: []string{kept}},
		{change: drift(api.DriftAPISilent), want: []string{mayBeLost}},
		{newMachines: true, change: drift(api.DriftHeadLost), want: []string{mayBeLost}},
		{newMachines: true, want: []string{mayBeLost}, change: func(c *api.Cluster) {
			c.Status.SetPhase(api.PhaseError, "Lost", fixture.Noon)
			c.Status.Failure = &api.Failure{Reason: string(api.DriftHeadLost)}
		}},
	} {
		c, s := fixture.NewReadyCluster(), fixture.NewSnapshots()[2]
		if tt.foreign {
			s.Cluster, s.ClusterUID = "old", "u-9"
		}
		if tt.change != nil {
			tt.change(c)
		}
		got := strings.Join(RestoreLines(c, api.RestoreWish{Snapshot: s, NewMachines: tt.newMachines,
			DiscardState: tt.discard, At: fixture.Noon}), "\n")
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: without %q:\n%s", tt, want, got)
			}
		}
		if strings.Contains(got, kept) != slices.Contains(tt.want, kept) {
			t.Errorf("%+v: it promises to keep the state:\n%s", tt, got)
		}
	}
}

func TestRestoreSaysThatTheStateBeforeIsLost(t *testing.T) {
	r := api.RestoreResult{Snapshot: "one", StateOf: fixture.Noon, Until: fixture.Noon, NotKept: "the API is silent"}
	if got := DescribeRestored(r, fixture.Noon); !strings.HasSuffix(got,
		"; the state before was not kept as a snapshot: the API is silent") {
		t.Errorf("got %q", got)
	}
}

func TestSizesAndCountsOfSnapshots(t *testing.T) {
	for n, want := range map[int64]string{0: "-", 512: "512 B", 1 << 10: "1.0 KiB", 5<<20 + 1<<19: "5.5 MiB",
		3 << 30: "3.0 GiB", 2 << 40: "2.0 TiB", 2048 << 40: "2048.0 TiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	uid := fixture.NewReadyCluster().Metadata.UID
	if n := CountSnapshots(fixture.NewSnapshots(), uid); n != (SnapshotCount{Deleted: 2, Staying: 1}) {
		t.Errorf("got %+v", n)
	}
	for n, want := range map[SnapshotCount]string{{}: "", {1, 0}: ", 1 snapshot is deleted",
		{0, 1}: ", 1 snapshot stays",
		{0, 2}: ", 2 snapshots stay", {48, 1}: ", 48 snapshots are deleted, 1 stays",
		{1, 3}: ", 1 snapshot is deleted, 3 stay"} {
		if got := n.Describe(); got != want {
			t.Errorf("%+v: %q, want %q", n, got, want)
		}
	}
}
