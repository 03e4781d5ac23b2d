package snapshotscenes

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// Policies of the scenes.
var (
	// NoSchedule is for the scenes in which the server has no schedule.
	NoSchedule = api.SnapshotPolicy{Every: api.SnapshotsOff}
	// ShortLived keeps scheduled snapshots for a minute, and one of them.
	ShortLived = api.SnapshotPolicy{Every: api.SnapshotsOff, Keep: 1, KeepFor: "1m"}
)

// KeepScheduled plays that the first snapshot is taken by skyd, the next one by the server's schedule while nobody
// keeps snapshots, and that both are kept off the machine, once. The policy is the default.
func (k *Keeper) KeepScheduled() {
	k.T.Helper()
	k.Check(k.Cloud.WriteObject(k.Ref.UID, "settings", "before"))
	started, all := k.Steps.StartDue(), k.Keep()
	if started != 1 || len(all) != 1 || all[0].State != api.SnapshotKept {
		k.T.Fatalf("%d started: %s", started, Describe(all))
	}
	if due := k.Steps.StartDue(); due != 0 {
		k.T.Errorf("%d are due again", due)
	}
	s := all[0]
	k.checkKept(s)
	if c := k.Condition(); c.Status != api.ConditionTrue || k.Cluster().NeedsSnapshotLook(time.Now().UTC()) {
		k.T.Errorf("condition %+v, next look %+v", c, k.Cluster().Status.Snapshots)
	}
	var file string
	k.Steps.Restart(func() { file = k.TakeScheduled(s.TakenAt) })
	all = k.Keep()
	if len(all) != 2 || all[0].File != file || all[0].State != api.SnapshotKept || !all[0].OnMachine ||
		!all[0].AskedAt.IsZero() || !strings.HasPrefix(all[0].Name, "auto-") {
		k.T.Errorf("got %s, want %s", Describe(all), file)
	}
	if again := k.Keep(); len(again) != 2 {
		k.T.Errorf("kept again: %s", Describe(again))
	}
}

// checkKept checks the record, the token and the file of a kept snapshot.
func (k *Keeper) checkKept(s api.Snapshot) {
	k.T.Helper()
	token, err := k.Store.ReadSnapshotToken(k.T.Context(), k.Ref, s.Name)
	k.Check(err)
	if s.Place != api.SnapshotPlaceSkyd || s.Bytes == 0 || s.SealedBytes <= s.Bytes || len(s.SHA256) != 64 ||
		s.Revision == 0 || s.Keys["/registry/configmaps"] != 1 || s.Spec == nil || s.OnMachine || s.NodeName == "" ||
		!bytes.HasPrefix(token, []byte("K10")) {
		k.T.Errorf("%+v, a token of %d bytes", s, len(token))
	}
	var content bytes.Buffer
	if err := k.Files.CopyChecked(k.T.Context(), s, &content); err != nil || int64(content.Len()) != s.Bytes {
		k.T.Errorf("%d bytes, %v", content.Len(), err)
	}
}

// KeepAsked plays that a snapshot that a person asked for outlives the limits of the policy, which is ShortLived, and
// that it goes with its file and token when the person deletes it.
func (k *Keeper) KeepAsked() {
	k.T.Helper()
	k.Steps.RequestSnapshot("before-migration")
	k.SetAhead(24 * time.Hour)
	all := k.Keep()
	if len(all) != 1 || all[0].State != api.SnapshotKept || !k.HasEvent("SnapshotKept") ||
		!strings.HasPrefix(all[0].File, "before-migration-") || all[0].OnMachine {
		k.T.Fatalf("got %s", Describe(all))
	}
	if files := k.KeptFiles(); !slices.Equal(files, []string{"before-migration"}) {
		k.T.Errorf("files %q", files)
	}
	config, mode, err := k.Cloud.ReadMachineFile(k.Head(), "/etc/rancher/rke2/config.yaml")
	if err != nil || !strings.Contains(config, "etcd-disable-snapshots: true") || mode.Perm() != 0o600 {
		k.T.Errorf("mode %o, %v: the server has a schedule", mode, err)
	}
	k.Steps.RequestDelete(all[0])
	if all := k.Keep(); len(all) != 0 || len(k.KeptFiles()) != 0 {
		k.T.Errorf("left: %s, files %q", Describe(all), k.KeptFiles())
	}
	if _, err := k.Store.ReadSnapshotToken(k.T.Context(), k.Ref, "before-migration"); err == nil {
		k.T.Error("its token is left")
	}
}

// InterruptCollect plays that the copy of a snapshot is cut off: nothing half is left, and whoever keeps the snapshots
// next copies it. The policy is NoSchedule.
func (k *Keeper) InterruptCollect() {
	k.T.Helper()
	cut := k.Cloud.CutSSH(k.Head(), simcloud.Cut{Seen: "exec cat", Times: k.Steps.Tries()})
	k.Ask("one")
	all := k.Keep()
	if k.Cloud.CountCuts(k.Head(), cut) == 0 {
		k.T.Fatal("nothing was cut")
	}
	if len(all) != 1 || all[0].State != api.SnapshotTaken || all[0].Failure == "" || len(k.KeptFiles()) != 0 {
		k.T.Fatalf("got %s; files %q", Describe(all), k.KeptFiles())
	}
	k.Steps.Restart(func() { k.SetAhead(2 * time.Minute) })
	if all = k.Keep(); all[0].State != api.SnapshotKept || !slices.Equal(k.KeptFiles(), []string{"one"}) {
		k.T.Errorf("got %s; files %q", Describe(all), k.KeptFiles())
	}
}

// DeleteWithCluster plays that scheduled snapshots go with their cluster, and that one that a person asked for stays
// until it is deleted. The policy is the default.
func (k *Keeper) DeleteWithCluster() {
	k.T.Helper()
	k.Ask("mine")
	k.Keep()
	all := k.Keep()
	if len(all) < 1 || len(k.KeptFiles()) != len(all) {
		k.T.Fatalf("got %s", Describe(all))
	}
	k.Update("mine", func(s *api.Snapshot) { s.TakenAt = s.TakenAt.Add(-2 * time.Hour); s.AskedAt = s.TakenAt })
	if all = k.Keep(); len(all) != 2 {
		k.T.Fatalf("got %s", Describe(all))
	}
	k.Steps.DeleteCluster()
	if all = k.Snapshots(); len(all) != 1 || all[0].Name != "mine" || all[0].State != api.SnapshotKept ||
		!slices.Equal(k.KeptFiles(), []string{"mine"}) {
		k.T.Fatalf("left: %s; files %q", Describe(all), k.KeptFiles())
	}
	k.Steps.RequestDelete(all[0])
	if all = k.Keep(); len(all) != 0 || len(k.KeptFiles()) != 0 {
		k.T.Errorf("left: %s; files %q", Describe(all), k.KeptFiles())
	}
}
