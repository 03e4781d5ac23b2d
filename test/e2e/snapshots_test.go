package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// refuseBadRestores asks for restores that cannot be had. Each is refused before anything is written.
func refuseBadRestores(i *installation) {
	i.run("create", "snapshot", "--cluster", "vital", "--name", "bad", "--wait")
	defer i.inventSnapshotOfAnother()()
	before := i.cluster("vital")
	for _, row := range []struct {
		what     string
		args     []string
		prepare  func() (undo func())
		code     int
		mentions string
	}{
		{what: "a READY cluster without --yes", args: []string{"--snapshot", "first"}, code: 2, mentions: "--yes"},
		{what: "no such snapshot", args: []string{"--snapshot", "never", "--yes"}, code: 2, mentions: "never"},
		{what: "another cluster's without --force", args: []string{"--snapshot", "other/theirs", "--yes"}, code: 2,
			mentions: "--force --new-machines"},
		{what: "another cluster's in place", args: []string{"--snapshot", "other/theirs", "--force", "--yes"}, code: 2,
			mentions: "--new-machines"},
		{what: "a newer minor", args: []string{"--snapshot", "bad", "--yes"}, code: 3, mentions: "v1.99.0+rke2r1",
			prepare: func() func() { return i.pretendNewerMinor("bad") }},
		{what: "a file that is gone", args: []string{"--snapshot", "bad", "--yes"}, code: 3, mentions: "bad",
			prepare: func() func() { return i.hideSnapshotFile("bad") }},
		{what: "no room on the machine", args: []string{"--snapshot", "first", "--yes"}, code: 3, mentions: "MiB free",
			prepare: func() func() { return i.takeRoom("sky-vital-0") }},
		{what: "a damaged file", args: []string{"--snapshot", "bad", "--yes"}, code: 3, mentions: "bad",
			prepare: func() func() { i.damageSnapshotFile("bad"); return func() {} }},
	} {
		undo := func() {}
		if row.prepare != nil {
			undo = row.prepare()
		}
		r := i.try(append([]string{"restore", "cluster", "vital", "--wait"}, row.args...)...)
		i.t.Logf("%s: exit %d\n%s", row.what, r.code, r.stderr)
		if r.code != row.code || !strings.Contains(r.stderr, row.mentions) {
			i.t.Errorf("%s: exit %d, want %d with %q\n%s", row.what, r.code, row.code, row.mentions, r.stderr)
		}
		undo()
	}
	after := i.cluster("vital")
	if !reflect.DeepEqual(before.Status.Machines, after.Status.Machines) || after.Status.Restore != nil ||
		after.Status.Restored != nil || after.Status.Phase != api.PhaseReady {
		i.t.Errorf("the refused restores changed the cluster: %+v", after.Status)
	}
}

// verifySnapshots verifies the snapshot first and the damaged one, bad, which it deletes.
func verifySnapshots(i *installation) {
	i.runAndLog("verify", "snapshot", "first", "--cluster", "vital")
	if s := i.snapshot("vital", "first"); s.Check == nil || s.Check.Result != api.SnapshotProven || s.Check.Keys == 0 ||
		!s.Check.At.After(s.Check.StartedAt) {
		i.t.Errorf("the good snapshot: %+v", s.Check)
	}
	r := i.try("verify", "snapshot", "bad", "--cluster", "vital")
	i.t.Logf("the damaged one: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	if s := i.snapshot("vital", "bad"); r.code == 0 || s.Check == nil || s.Check.Result != api.SnapshotDamaged {
		i.t.Errorf("the damaged snapshot: exit %d, %+v", r.code, s.Check)
	}
	i.runAndLog("get", "snapshots", "--cluster", "vital")
	if n := len(i.hosts("vital")); n != 2 {
		i.t.Errorf("%d hosts of the cluster, want 2", n)
	}
	file := i.snapshotFile("bad")
	i.runAndLog("delete", "snapshot", "bad", "--cluster", "vital", "--yes")
	i.holds("the deleted snapshot and its file are gone", func() bool {
		_, err := os.Stat(file)
		return os.IsNotExist(err) && !slices.ContainsFunc(i.snapshots("vital"),
			func(s api.Snapshot) bool { return s.Name == "bad" })
	})
}

// snapshotFile returns the sealed file of a kept snapshot of the cluster vital.
func (i *installation) snapshotFile(name string) string {
	i.t.Helper()
	object := i.snapshot("vital", name).Object
	var found string
	err := filepath.WalkDir(filepath.Join(i.dir, "snapshots"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, filepath.FromSlash(object)) {
			found = path
		}
		return err
	})
	if err != nil || object == "" || found == "" {
		i.t.Fatalf("no file of snapshot %s (%q): %v", name, object, err)
	}
	return found
}

// damageSnapshotFile changes one byte in the middle.
func (i *installation) damageSnapshotFile(name string) {
	i.t.Helper()
	path := i.snapshotFile(name)
	content, err := os.ReadFile(path)
	if err != nil {
		i.t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) hideSnapshotFile(name string) (undo func()) {
	i.t.Helper()
	path := i.snapshotFile(name)
	hidden := filepath.Join(i.t.TempDir(), "hidden")
	if err := os.Rename(path, hidden); err != nil {
		i.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(hidden, path); err != nil {
			i.t.Fatal(err)
		}
	}
}

// inventSnapshotOfAnother records a snapshot of a cluster that is deleted.
func (i *installation) inventSnapshotOfAnother() (undo func()) {
	i.t.Helper()
	s, theirs := i.store(), i.snapshot("vital", "first")
	theirs.Name, theirs.Cluster, theirs.ClusterUID = "theirs", "other", "uid-of-other"
	if err := s.CreateSnapshot(i.t.Context(), theirs); err != nil {
		i.t.Fatal(err)
	}
	return func() {
		if err := s.ForgetSnapshot(i.t.Context(), theirs.Ref(), theirs.Name); err != nil {
			i.t.Error(err)
		}
	}
}

// takeRoom makes the file system small on which a machine keeps the snapshot of a restore.
func (i *installation) takeRoom(machine string) (undo func()) {
	i.t.Helper()
	const dir = "/var/lib/skyctl/restore"
	i.sh(machine, "mkdir -p "+dir+" && mount -t tmpfs -o size=64m tmpfs "+dir)
	return func() { i.sh(machine, "umount "+dir) }
}

// pretendNewerMinor changes the record of a snapshot.
func (i *installation) pretendNewerMinor(name string) (undo func()) {
	i.t.Helper()
	c := i.cluster("vital")
	s, ref := i.store(), c.Ref()
	var versions api.Versions
	change := func(to func(*api.Snapshot)) {
		if _, err := s.UpdateSnapshot(i.t.Context(), ref, name, func(found *api.Snapshot) error {
			to(found)
			return nil
		}); err != nil {
			i.t.Fatal(err)
		}
	}
	change(func(found *api.Snapshot) {
		versions = found.Versions
		found.Versions.Kubernetes = "v1.99.0+rke2r1"
	})
	return func() { change(func(found *api.Snapshot) { found.Versions = versions }) }
}

// checkSnapshotsLeft compares what is left of the snapshots of a deleted cluster with those that a person asked for,
// sorted.
func (i *installation) checkSnapshotsLeft(cluster string, want ...string) {
	i.t.Helper()
	i.holds("only the snapshots that a person asked for are left", func() bool {
		var names []string
		for _, s := range i.snapshots(cluster) {
			if s.Reason == api.SnapshotAsked {
				names = append(names, s.Name)
			} else if s.Reason == api.SnapshotScheduled {
				return false
			}
		}
		slices.Sort(names)
		return slices.Equal(names, want)
	})
	for _, name := range want {
		i.run("delete", "snapshot", name, "--cluster", cluster, "--yes")
	}
}
