package e2e

import (
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func stopAndStart(i *installation) {
	if r := i.try("stop", "cluster", "vital"); r.code != 2 { // there is no terminal to ask on
		i.t.Errorf("a stop without --yes: exit %d, want 2\n%s", r.code, r.stderr)
	}
	i.runAndLog("stop", "cluster", "vital", "--yes", "--wait")
	stopped := i.cluster("vital")
	if stopped.Status.Phase != api.PhaseStopped || len(i.hosts("vital")) != 0 {
		i.t.Errorf("after the stop it is %s and has %d hosts", stopped.Status.Phase, len(i.hosts("vital")))
	}
	i.runAndLog("get", "clusters")
	for range 2 {
		i.run("reconcile")
	}
	if c := i.cluster("vital"); c.Status.Phase != api.PhaseStopped || len(i.hosts("vital")) != 0 {
		i.t.Errorf("two sweeps later it is %s and has %d hosts", c.Status.Phase, len(i.hosts("vital")))
	}
	began := time.Now()
	i.runAndLog("start", "cluster", "vital", "--wait")
	after := i.awaitRestored("vital", began)
	i.checkRestored(after, stopped.Status.Stop.Snapshot, api.RestoreStart)
	if after.Status.Stop != nil {
		i.t.Errorf("after the start the stop is still wanted: %+v", after.Status.Stop)
	}
}

// loseSkydAndMachines takes everything over from a backup in an empty directory.
func loseSkydAndMachines(i *installation) {
	outside := i.t.TempDir()
	file, key, other := filepath.Join(outside, "backup"), filepath.Join(outside, "key"), filepath.Join(outside, "other")
	i.runAndLog("create", "snapshot", "--cluster", "vital", "--name", "last", "--wait")
	i.putValue("vital", "after", "lost")
	i.run("server", "backup", filepath.Join(outside, "first"), "--recovery-key-file", other)
	i.runAndLog("server", "backup", file, "--with-snapshots", "--new-recovery-key", "--recovery-key-file", key)

	before := i.cluster("vital")
	i.killSkyd()
	i.loseMachines("sky-vital-0", "sky-vital-1")
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
	if r := i.try("restore", "cluster", "vital", "--snapshot", "last", "--new-machines", "--yes"); r.code != 3 {
		i.t.Errorf("a restore in doubt: exit %d, want 3\n%s", r.code, r.stderr)
	}
	i.run("pause", "reconcile", "vital") // a person is quicker than the sweeps
	i.runAndLog("server", "adopt", "--yes")
	began := time.Now()
	i.runAndLog("restore", "cluster", "vital", "--snapshot", "last", "--new-machines", "--yes", "--wait")
	i.run("resume", "reconcile", "vital")
	after := i.awaitRestored("vital", began)
	i.checkRestored(after, "last", api.RestoreAsked)
	for _, m := range after.Status.Machines {
		if was := before.FindMachine(m.Name); was != nil && m.Incarnation == was.Incarnation {
			i.t.Errorf("%s is not a new machine", m.Name)
		}
	}
}
