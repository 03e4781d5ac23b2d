package faults

import (
	"io"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/vault"
)

// kept is the snapshot of the lanes' clusters. What they have written before it is in it; what they write afterwards is
// not.
const kept = "before"

// withSnapshot is a READY cluster with a snapshot off its machines, and something written before and after.
func (l *lane) withSnapshot() api.Ref {
	l.t.Helper()
	ref := l.ready()
	l.check(l.cloud.WriteObject(ref.UID, "before", "1"))
	l.askSnapshot(kept)
	l.until("the snapshot is kept", func() bool { return l.readSnapshot(kept).State == api.SnapshotKept })
	l.check(l.cloud.WriteObject(ref.UID, "after", "1"))
	return ref
}

// askSnapshot requests a snapshot as skyctl does.
func (l *lane) askSnapshot(name string) {
	l.t.Helper()
	l.insist("create snapshot", func() error {
		_, err := l.ops.CreateSnapshot(l.t.Context(), l.cluster, name)
		return err
	})
}

// dropSnapshot requests that the snapshot is deleted.
func (l *lane) dropSnapshot() {
	l.t.Helper()
	s := l.readSnapshot(kept)
	l.insist("delete snapshot", func() error { _, err := l.ops.DeleteSnapshot(l.t.Context(), s); return err })
}

// readSnapshot reads the record of a snapshot.
func (l *lane) readSnapshot(name string) api.Snapshot {
	l.t.Helper()
	var s api.Snapshot
	l.insist("reading the snapshot", func() (err error) {
		s, err = l.ops.FindSnapshot(l.t.Context(), l.cluster, name)
		return err
	})
	return s
}

// restore requests a restore as skyctl does. The cluster has to have the state of the snapshot in the end.
func (l *lane) restore(onNewMachines bool) {
	l.t.Helper()
	l.insist("restore", func() error {
		_, err := l.ops.RestoreCluster(l.t.Context(), l.find(), client.RestoreOptions{Snapshot: l.readSnapshot(kept),
			NewMachines: onNewMachines})
		return err
	})
	l.wantsState = []string{"before"}
}

// stop requests a stop, start a start, as skyctl does.
func (l *lane) stop(ref api.Ref) {
	l.t.Helper()
	l.insist("stop", func() error { _, err := l.ops.StopCluster(l.t.Context(), ref); return err })
}

func (l *lane) start(ref api.Ref) {
	l.t.Helper()
	l.insist("start", func() error { _, err := l.ops.StartCluster(l.t.Context(), ref); return err })
}

// isAsleep checks that a stopped cluster has no machine, and a snapshot from which it can be started.
func (l *lane) isAsleep(c *api.Cluster) {
	l.t.Helper()
	if there := l.machines(); len(there) > 0 || api.AnyMachineMayExist(c.Status.Machines) {
		l.t.Errorf("machines remain: %s; on record %+v", names(there), c.Status.Machines)
	}
	if c.Status.Stop == nil || !l.readSnapshot(c.Status.Stop.Snapshot).IsUsable() {
		l.t.Errorf("it cannot be started: %+v", c.Status.Stop)
	}
}

// hasState checks that the cluster has what it should have after a restore.
func (l *lane) hasState(c *api.Cluster) {
	l.t.Helper()
	if l.wantsState == nil {
		return
	}
	objects := l.cloud.ReadObjects(c.Metadata.UID)
	if len(objects) != len(l.wantsState) {
		l.t.Errorf("the cluster has %v, want %q", objects, l.wantsState)
	}
	for _, name := range l.wantsState {
		if _, there := objects[name]; !there {
			l.t.Errorf("the cluster lacks %s", name)
		}
	}
	if c.Status.Restore != nil || c.Status.Stop != nil || c.Status.Restored == nil {
		l.t.Errorf("restore %+v, stop %+v, restored %+v", c.Status.Restore, c.Status.Stop, c.Status.Restored)
	}
}

// snapshotsAreTrue checks that each snapshot that is kept has its file, whole, that no other file is there, and that
// those that are on a machine are.
func (l *lane) snapshotsAreTrue() {
	l.t.Helper()
	var all []api.Snapshot
	l.until("nothing is left to do for snapshots", func() (settled bool) {
		l.insist("listing the snapshots", func() (err error) {
			all, err = l.store.ListSnapshots(l.t.Context(), "")
			return err
		})
		settled = !slices.ContainsFunc(all, func(s api.Snapshot) bool {
			return s.State == api.SnapshotWanted || s.State == api.SnapshotDeleting
		})
		if !settled && !l.busy() {
			l.keepSnapshots(all[0].Ref())
		}
		return settled && !l.busy()
	})
	files := activities.SnapshotFiles{Store: l.store, Dir: l.place.Settings.Snapshots, QuotaBytes: 1 << 40}
	wanted := map[string]bool{}
	for _, s := range all {
		if s.State == api.SnapshotKept && l.snapshotsBroken {
			wanted[s.Object] = true
			continue
		}
		if s.State == api.SnapshotKept {
			wanted[s.Object] = true
			if err := files.CopyChecked(l.t.Context(), s, io.Discard); err != nil {
				l.t.Errorf("snapshot %s is recorded as kept: %v", s.Name, err)
			}
			if _, err := l.store.ReadSnapshotToken(l.t.Context(), s.Ref(), s.Name); err != nil {
				l.t.Errorf("the token of snapshot %s: %v", s.Name, err)
			}
		}
		if m := l.findRecord(s.Machine); s.OnMachine && m != nil && m.Incarnation == s.Incarnation {
			if _, _, err := l.cloud.ReadMachineFile(s.Machine, snapshotsDir+s.File); err != nil {
				l.t.Errorf("snapshot %s is not on its machine: %v", s.Name, err)
			}
		}
	}
	for _, file := range l.vaultFiles() {
		if !wanted[file] {
			l.t.Errorf("the vault has %s, which is no kept snapshot", file)
		}
	}
}

// keepSnapshots starts what the schedule starts.
func (l *lane) keepSnapshots(ref api.Ref) {
	l.t.Helper()
	l.insist("keep the snapshots", func() error {
		return start.SignalKeepSnapshots(l.t.Context(), l.conn, l.cluster, operation.KeepSnapshotsInput{Cluster: ref})
	})
}

const snapshotsDir = "/var/lib/rancher/rke2/server/db/snapshots/"

// vaultFiles returns the names in skyd's directory of snapshots.
func (l *lane) vaultFiles() []string {
	l.t.Helper()
	identity, err := l.store.EnsureSnapshotIdentity(l.t.Context(), vault.NewIdentity)
	l.check(err)
	dir, err := vault.NewDirectory(l.place.Settings.Snapshots, identity, 1<<40)
	l.check(err)
	entries, err := dir.List(l.t.Context())
	l.check(err)
	var found []string
	for _, e := range entries {
		found = append(found, e.Name)
	}
	return found
}

// findRecord returns the record of a machine; nil if there is none.
func (l *lane) findRecord(name string) *api.Machine {
	l.t.Helper()
	if c := l.find(); c != nil {
		return c.FindMachine(name)
	}
	return nil
}
