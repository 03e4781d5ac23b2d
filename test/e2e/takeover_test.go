package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// TestClusterSurvivesItsServersAndSkyd stops and starts a cluster, and then loses it together with skyd's whole
// directory.
func TestClusterSurvivesItsServersAndSkyd(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	i.runAndLog("create", "cluster", "dear", "--provision", "--cloud", "docker", "--cpus", "2+", "--memory", "4",
		"--num_nodes", "2", "--wait")
	i.applyText("dear", fillIn(shopManifest, "shop"))
	i.kubectl("dear", "rollout", "status", "deployment/shop", within(2*time.Minute))
	i.putValue("dear", "before", "there")
	eventually.Holds(t, "a snapshot of RKE2's schedule is kept", func() bool {
		return slices.ContainsFunc(i.snapshots("dear"), func(s api.Snapshot) bool {
			return s.Reason == api.SnapshotScheduled && s.State == api.SnapshotKept
		})
	})
	for _, scene := range []struct {
		what string
		run  func(*installation)
	}{
		{"it is stopped and started", stopAndStart},
		{"skyd and all machines are lost", loseSkydAndMachines},
	} {
		if !t.Run(scene.what, func(t *testing.T) { j := *i; j.t = t; scene.run(&j) }) {
			t.Logf("%s\nevents:\n%s", i.try("describe", "cluster", "dear").stdout,
				i.try("get", "events", "dear").stdout)
			t.FailNow()
		}
	}
	i.runAndLog("delete", "cluster", "dear", "--yes", "--wait")
}

func stopAndStart(i *installation) {
	if r := i.try("stop", "cluster", "dear"); r.code != 2 { // there is no terminal to ask on
		i.t.Errorf("a stop without --yes: exit %d, want 2\n%s", r.code, r.stderr)
	}
	i.runAndLog("stop", "cluster", "dear", "--yes", "--wait")
	stopped := i.cluster("dear")
	if stopped.Status.Phase != api.PhaseStopped || len(i.hosts("dear")) != 0 {
		i.t.Errorf("after the stop it is %s and has %d hosts", stopped.Status.Phase, len(i.hosts("dear")))
	}
	i.runAndLog("get", "clusters")
	for range 2 {
		i.run("reconcile")
	}
	if c := i.cluster("dear"); c.Status.Phase != api.PhaseStopped || len(i.hosts("dear")) != 0 {
		i.t.Errorf("two sweeps later it is %s and has %d hosts", c.Status.Phase, len(i.hosts("dear")))
	}
	began := time.Now()
	i.runAndLog("start", "cluster", "dear", "--wait")
	after := i.awaitRestored("dear", began)
	i.checkRestored(after, stopped.Status.Stop.Snapshot, api.RestoreStart)
	if after.Status.Stop != nil {
		i.t.Errorf("after the start the stop is still wanted: %+v", after.Status.Stop)
	}
}

// loseSkydAndMachines takes everything over from a backup in an empty directory.
func loseSkydAndMachines(i *installation) {
	outside := i.t.TempDir()
	file, key, other := filepath.Join(outside, "backup"), filepath.Join(outside, "key"), filepath.Join(outside, "other")
	i.runAndLog("create", "snapshot", "--cluster", "dear", "--name", "last", "--wait")
	i.putValue("dear", "after", "lost")
	i.run("server", "backup", filepath.Join(outside, "first"), "--recovery-key-file", other)
	i.runAndLog("server", "backup", file, "--with-snapshots", "--new-recovery-key", "--recovery-key-file", key)

	i.killSkyd()
	i.loseMachines("sky-dear-0", "sky-dear-1")
	if err := os.RemoveAll(i.dir); err != nil {
		i.t.Fatal(err)
	}
	if r := i.try("server", "restore", file, "--recovery-key-file", other, "--adopt"); r.code != 2 {
		i.t.Errorf("the wrong recovery key: exit %d, want 2\n%s", r.code, r.stderr)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "secrets.key")); !os.IsNotExist(err) {
		i.t.Errorf("the wrong recovery key left a state (%v)", err)
	}
	i.run("server", "restore", file, "--recovery-key-file", key)
	i.runAndLog("get", "snapshots")
	if r := i.try("restore", "cluster", "dear", "--snapshot", "last", "--new-machines", "--yes"); r.code != 3 {
		i.t.Errorf("a restore in doubt: exit %d, want 3\n%s", r.code, r.stderr)
	}
	i.run("pause", "reconcile", "dear") // a person is quicker than the sweeps
	i.runAndLog("server", "adopt", "--yes")
	began := time.Now()
	i.runAndLog("restore", "cluster", "dear", "--snapshot", "last", "--new-machines", "--yes", "--wait")
	i.run("resume", "reconcile", "dear")
	i.checkRestored(i.awaitRestored("dear", began), "last", api.RestoreAsked)
}
