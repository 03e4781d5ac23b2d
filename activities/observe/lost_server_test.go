package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

var now = time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)

// lostServer is a cluster whose head is lost, and the decision to restore it.
func lostServer() (*api.Cluster, plan.Decision) {
	c := &api.Cluster{Metadata: api.Metadata{Name: "x", UID: "uid", Generation: 1}}
	c.Status.Phase = api.PhaseReady
	c.Status.Machines = []api.Machine{api.NewMachine("x", 0, "", "inc0", api.Placement{}, now)}
	return c, plan.Decision{Restore: &api.RestoreRequest{Snapshot: "auto-1", SnapshotUID: "uid", LostServer: "inc0",
		Mode: api.RestoreNewServer, Reason: api.RestoreServerLost, AskedAt: now}}
}

func TestRestoreOfALostServerIsRequestedOnce(t *testing.T) {
	before, d := lostServer()
	c := *before
	repair := newLostServerRepair(before, d, now)
	if !requestRestore(&c, before, d, repair) {
		t.Fatal("it is not requested")
	}
	got := c.Status.Restore
	if got.ID == "" || got.ID != c.Status.Repairs[0].ID || got.Snapshot != "auto-1" || got.LostServer != "inc0" ||
		c.Status.Repairs[0].Action.Kind != api.ActionRestore || d.Restore.ID != "" {
		t.Errorf("requested %+v, repairs %+v", got, c.Status.Repairs)
	}
	if requestRestore(&c, before, d, newLostServerRepair(before, d, now)) || c.Status.Restore.ID != got.ID {
		t.Error("it is requested twice")
	}
	c.Status.Restore = nil // it has ended, before another observation of the same loss is recorded
	if requestRestore(&c, before, d, newLostServerRepair(before, d, now)) {
		t.Error("it is requested after it has ended")
	}
}

func TestRestoreIsNotRequestedAgainstAPerson(t *testing.T) {
	for what, change := range map[string]func(*api.Cluster){
		"paused":         func(c *api.Cluster) { c.Status.PausedAt = now },
		"to be stopped":  func(c *api.Cluster) { c.Status.Stop = &api.StopRequest{AskedAt: now} },
		"to be restored": func(c *api.Cluster) { c.Status.Restore = &api.RestoreRequest{ID: "restore-theirs"} },
		"has a new spec": func(c *api.Cluster) { c.Metadata.Generation++ },
		"not lost":       nil,
	} {
		before, d := lostServer()
		c := *before
		if change == nil {
			d.Restore = nil
		} else {
			change(&c)
		}
		repair := newLostServerRepair(before, d, now)
		if requestRestore(&c, before, d, repair) || len(c.Status.Repairs) > 0 {
			t.Errorf("a cluster that is %s is restored", what)
		}
	}
}

func TestUnusableSnapshotsAreNamed(t *testing.T) {
	kept := api.Snapshot{Name: "auto-2", State: api.SnapshotKept}
	damaged := kept
	damaged.Check = &api.SnapshotCheck{Result: api.SnapshotDamaged}
	taken := api.Snapshot{Name: "auto-3", State: api.SnapshotTaken}
	for want, all := range map[string][]api.Snapshot{
		"": nil,
		"of the newest, auto-3, the state is Taken": {taken},
		"a verification found":                      {taken, damaged},
	} {
		if got := describeUnusable(all); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := describeUnusable([]api.Snapshot{damaged, kept}); got != "" {
		t.Errorf("%q although one is usable", got)
	}
}
