package snapshots

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/simcloud"
	scenes "github.com/sky-shift/skyctl/test/snapshotscenes"
)

// keeper keeps the snapshots of a READY cluster of one simulated machine with the activities alone.
type keeper struct {
	*scenes.Keeper
	acts *Activities
	// started are the clusters for which KeepSnapshots was started.
	started []api.Ref
}

func newKeeper(t *testing.T, policy api.SnapshotPolicy) *keeper {
	t.Helper()
	needs.Root(t)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	k := &keeper{Keeper: &scenes.Keeper{T: t, Cloud: simcloud.New(simcloud.RegionPlacement("here"))}}
	k.Steps = k
	k.Check(err)
	t.Cleanup(func() { _ = client.Close() })
	t.Cleanup(k.Cloud.Close)
	k.Store = store.New(client, "/"+t.Name(), make([]byte, 32))
	k.Files = &activities.SnapshotFiles{Store: k.Store, Dir: filepath.Join(t.TempDir(), "kept"), QuotaBytes: 1 << 30}
	pool := remote.NewPool(time.Minute)
	t.Cleanup(pool.Close)
	k.useActivities(pool)
	k.create(policy)
	return k
}

// useActivities takes new activities, as a process that starts does.
func (k *keeper) useActivities(pool *remote.Pool) {
	k.acts = &Activities{Store: k.Store, Pool: pool, Files: k.Files, Now: k.Now,
		Start: func(_ context.Context, ref api.Ref) error {
			k.started = append(k.started, ref)
			return nil
		}}
}

// create records a READY cluster, and starts the server on its machine.
func (k *keeper) create(policy api.SnapshotPolicy) {
	k.T.Helper()
	ctx := k.T.Context()
	uid := "uid-" + strings.ReplaceAll(k.T.Name(), "/", "-")
	c := api.NewCluster("c", uid, api.GroupSpec{Cloud: simcloud.Name, NumNodes: 1, Provision: true}, nil,
		time.Now())
	c.Spec.Snapshots = policy
	c, err := k.Store.CreateCluster(ctx, c)
	k.Check(err)
	k.Ref = c.Ref()
	key, public, err := remote.NewKeyPair()
	k.Check(err)
	hostKey, _, err := remote.NewKeyPair()
	k.Check(err)
	_, err = k.Cloud.SubmitLaunch(ctx, cloud.LaunchRequest{Owner: cloud.Owner{Cluster: "c", ClusterUID: k.Ref.UID},
		Name: k.Head(), Role: api.RoleHead, Incarnation: "bcdfg", Placement: simcloud.RegionPlacement("here"),
		AuthorizedKey: public, HostKey: hostKey})
	k.Check(err)
	launched := k.Cloud.ExistingMachines(k.Head())[0]
	m := api.NewMachine("c", 0, "", "bcdfg", simcloud.RegionPlacement("here"), time.Now())
	m.State, m.Address, m.SSHPort, m.SSHUser, m.HostKey = api.MachineReady, launched.Address, launched.SSHPort, "root",
		launched.HostKey
	m.SnapshotSchedule = policy.Schedule()
	k.Check(k.Store.PutMachines(ctx, k.Ref, []api.Machine{m}))
	k.Check(k.Store.PutSecret(ctx, k.Ref, store.SecretSSHKey, key))
	_, err = k.Store.UpdateCluster(ctx, k.Ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "", time.Now())
		return nil
	})
	k.Check(err)
	host, err := k.acts.Pool.AwaitHost(ctx, sshtarget.Of(c, &m), key, nil)
	k.Check(err)
	dir := k.T.TempDir()
	k.Check(simcloud.WriteRelease(dir))
	release, err := rke2.ResolveArtifacts(ctx, simcloud.Version, dir, "")
	k.Check(err)
	k.Check(rke2.InstallRelease(ctx, host, release, nil, nil))
	k.Check(rke2.StartServer(ctx, host, rke2.Node{Role: api.RoleHead, NodeName: m.NodeName, NodeIP: m.Address,
		AgentToken: "secret", SnapshotEvery: policy.Interval()}))
	k.Check(rke2.AwaitServer(ctx, host, nil))
}

// StartDue implements scenes.Steps.
func (k *keeper) StartDue() int {
	k.T.Helper()
	k.started = nil
	n, err := k.acts.StartDueSnapshots(k.T.Context())
	k.Check(err)
	if n != len(k.started) || n > 0 && k.started[0] != k.Ref {
		k.T.Errorf("%d are due, started: %v", n, k.started)
	}
	return n
}

// KeepSnapshots implements scenes.Steps, as the workflow does.
func (k *keeper) KeepSnapshots() {
	k.T.Helper()
	ctx := k.T.Context()
	for range 10 {
		found, err := k.acts.AssessSnapshots(ctx, k.Ref)
		k.Check(err)
		for _, step := range []struct {
			names []string
			do    func(context.Context, Ref) error
		}{{found.Take, k.acts.TakeSnapshot}, {found.Delete, k.acts.DeleteSnapshot},
			{found.Collect, k.acts.CollectSnapshot}} {
			for _, name := range step.names {
				_ = step.do(ctx, Ref{Cluster: k.Ref, Name: name}) // its failure is in the record
			}
		}
		if found.Problem != "" || len(found.Take)+len(found.Delete)+len(found.Collect) == 0 {
			k.Check(k.acts.RecordSnapshots(ctx, RecordSnapshotsInput{Cluster: k.Ref, Problem: found.Problem}))
			return
		}
	}
	k.T.Fatal("it does not end")
}

// Tries implements scenes.Steps.
func (k *keeper) Tries() int { return 1 }

// Restart implements scenes.Steps.
func (k *keeper) Restart(between func()) {
	between()
	k.useActivities(k.acts.Pool)
}

// RequestSnapshot implements scenes.Steps.
func (k *keeper) RequestSnapshot(name string) {
	k.T.Helper()
	k.Ask(name)
}

// RequestDelete implements scenes.Steps.
func (k *keeper) RequestDelete(s api.Snapshot) {
	k.T.Helper()
	k.Update(s.Name, func(s *api.Snapshot) { s.State = api.SnapshotDeleting })
}

// DeleteCluster implements scenes.Steps.
func (k *keeper) DeleteCluster() {
	k.T.Helper()
	k.Check(k.acts.DeleteClusterSnapshots(k.T.Context(), k.Ref))
	k.Check(k.Store.DeleteCluster(k.T.Context(), k.Ref))
}

func (k *keeper) updateSpec(change func(*api.SnapshotPolicy)) {
	k.T.Helper()
	_, err := k.Store.UpdateCluster(k.T.Context(), k.Ref, func(c *api.Cluster) error {
		change(&c.Spec.Snapshots)
		return nil
	})
	k.Check(err)
}

func TestScheduledSnapshotsAreKeptOffTheMachine(t *testing.T) {
	newKeeper(t, api.SnapshotPolicy{}).KeepScheduled()
}

func TestAskedSnapshotIsKeptUntilAPersonDeletesIt(t *testing.T) {
	newKeeper(t, scenes.ShortLived).KeepAsked()
}

func TestAskedSnapshotThatCannotBeTakenFailsAfterAWhile(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{Every: api.SnapshotsOff})
	k.Check(k.Cloud.FailSnapshots(k.Head(), "etcdserver: no space"))
	k.Ask("one")
	all := k.Keep()
	if len(all) != 1 || all[0].State != api.SnapshotWanted || all[0].Failure == "" {
		t.Fatalf("got %s", scenes.Describe(all))
	}
	k.SetAhead(api.SnapshotWait + time.Minute)
	if all = k.Keep(); all[0].State != api.SnapshotFailed || !k.HasEvent("SnapshotFailed") {
		t.Errorf("got %s", scenes.Describe(all))
	}
	k.Check(k.Cloud.FailSnapshots(k.Head(), ""))
	k.SetAhead(0)
	k.Ask("two")
	if all = k.Keep(); all[0].State != api.SnapshotKept && all[1].State != api.SnapshotKept {
		t.Errorf("got %s", scenes.Describe(all))
	}
}

func TestSilentServerIsToldAndNotWaitedFor(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{})
	k.Check(k.Cloud.StopUnit(k.Head(), "inactive"))
	all := k.Keep()
	if c := k.Condition(); len(all) != 0 || c.Status != api.ConditionFalse ||
		!strings.Contains(c.Message, "the server does not answer") || !k.HasEvent("SnapshotsNotCurrent") {
		t.Errorf("%s: %+v", scenes.Describe(all), c)
	}
}

func TestOldSnapshotsArePrunedOnBothSides(t *testing.T) {
	for what, policy := range map[string]api.SnapshotPolicy{"by count": {Keep: 1}, "by age": {KeepFor: "1h"}} {
		t.Run(what, func(t *testing.T) {
			k := newKeeper(t, policy)
			k.Ask("by-a-person")
			file := k.TakeScheduled(k.Keep()[0].TakenAt)
			old := k.Keep()[0]
			if old.File != file || !old.OnMachine || !k.isOnMachine(file) {
				t.Fatalf("%+v, want it from %s", old, file)
			}
			for _, s := range k.Snapshots() {
				k.Update(s.Name, func(s *api.Snapshot) { s.TakenAt = s.TakenAt.Add(-2 * time.Hour) })
			}
			newest := k.TakeScheduled(old.TakenAt)
			all := k.Keep()
			files := k.KeptFiles()
			slices.Sort(files)
			if len(all) != 2 || all[0].File != newest || all[1].Name != "by-a-person" ||
				!slices.Equal(files, []string{all[0].Name, all[1].Name}) {
				t.Errorf("left: %s; files %q", scenes.Describe(all), files)
			}
			if k.isOnMachine(file) || !k.isOnMachine(newest) {
				t.Errorf("on the machine: %s %t, %s %t", file, k.isOnMachine(file), newest, k.isOnMachine(newest))
			}
		})
	}
}

// isOnMachine reports whether the server has the file of a snapshot.
func (k *keeper) isOnMachine(file string) bool {
	k.T.Helper()
	_, _, err := k.Cloud.ReadMachineFile(k.Head(), "/var/lib/rancher/rke2/server/db/snapshots/"+file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.T.Fatal(err)
	}
	return err == nil
}

func TestQuotaRemovesTheOldestThatCanBeSpared(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{})
	for i, name := range []string{"a", "b"} {
		k.Ask(name)
		k.Keep()
		k.Update(name, func(s *api.Snapshot) {
			s.Reason, s.TakenAt = api.SnapshotScheduled, s.TakenAt.Add(-time.Duration(2-i)*time.Hour)
		})
	}
	for _, s := range k.Snapshots() {
		if s.Name != "a" && s.Name != "b" { // the first that skyd took by itself
			k.Update(s.Name, func(s *api.Snapshot) { s.State = api.SnapshotDeleting })
		}
	}
	k.Keep()
	size := uint64(k.Snapshots()[0].SealedBytes) + 8<<10
	k.Files.QuotaBytes = 2 * size
	k.Ask("c")
	if all := k.Keep(); strings.Contains(scenes.Describe(all), "a Kept") ||
		!strings.Contains(scenes.Describe(all), "c Kept") {
		t.Errorf("got %s", scenes.Describe(all))
	}
	k.Files.QuotaBytes = size / 2
	k.Ask("d")
	all := k.Keep()
	if i := slices.IndexFunc(all, func(s api.Snapshot) bool { return s.Name == "d" }); all[i].State !=
		api.SnapshotTaken || !strings.Contains(all[i].Failure, "may need") ||
		!strings.Contains(scenes.Describe(all), "c Kept") {
		t.Errorf("got %s", scenes.Describe(all))
	}
}

func TestSnapshotWaitsForAStorageThatIsDown(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{})
	_, err := k.Store.WriteNamedSecret(t.Context(), "bucket", map[string][]byte{api.SecretKeyAccessKey: []byte("me"),
		api.SecretKeySecretKey: []byte("a-s3-secret-88")}, false, time.Now())
	k.Check(err)
	k.updateSpec(func(p *api.SnapshotPolicy) {
		p.S3URL, p.S3Endpoint, p.S3Secret = "s3://backups/a", "http://127.0.0.1:1", "bucket"
	})
	all := k.Keep()
	if len(all) != 1 || all[0].State != api.SnapshotTaken || all[0].Failure == "" ||
		strings.Contains(all[0].Failure, "a-s3-secret-88") {
		t.Fatalf("got %s", scenes.Describe(all))
	}
	if c := k.Condition(); c.Status != api.ConditionFalse || !strings.Contains(c.Message, all[0].Name) {
		t.Errorf("condition %+v", c)
	}
	k.updateSpec(func(p *api.SnapshotPolicy) { *p = api.SnapshotPolicy{} })
	k.SetAhead(2 * time.Minute)
	if all = k.Keep(); len(all) != 1 || all[0].State != api.SnapshotKept || !k.HasEvent("SnapshotsCurrent") {
		t.Errorf("got %s", scenes.Describe(all))
	}
}

func TestInterruptedCollectLeavesNothingHalf(t *testing.T) {
	newKeeper(t, scenes.NoSchedule).InterruptCollect()
}

func TestDeleteTakesScheduledSnapshotsWithIt(t *testing.T) {
	newKeeper(t, api.SnapshotPolicy{}).DeleteWithCluster()
}

func TestFilesThatAreGoneAreCollectedAgainOrLost(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{})
	first := k.Keep()[0]
	file := k.TakeScheduled(first.TakenAt)
	if all := k.Keep(); len(all) != 2 {
		t.Fatalf("got %s", scenes.Describe(all))
	}
	k.Check(os.RemoveAll(k.Files.Dir))
	k.useActivities(k.acts.Pool) // another skyd, on a restored state
	all := k.Keep()
	if all[0].File != file || all[0].State != api.SnapshotKept || all[1].Name != first.Name ||
		all[1].State != api.SnapshotLost || !k.HasEvent("SnapshotLost") {
		t.Errorf("got %s", scenes.Describe(all))
	}
	if files := k.KeptFiles(); !slices.Equal(files, []string{all[0].Name}) {
		t.Errorf("files %q", files)
	}
}

func TestChangedScheduleIsWrittenWithoutARestart(t *testing.T) {
	k := newKeeper(t, api.SnapshotPolicy{})
	k.updateSpec(func(p *api.SnapshotPolicy) { p.Every = "2h" })
	if !k.Cluster().NeedsSnapshotLook(time.Now().UTC()) {
		t.Error("nobody looks")
	}
	k.Keep()
	config, _, err := k.Cloud.ReadMachineFile(k.Head(), "/etc/rancher/rke2/config.yaml")
	if err != nil || !strings.Contains(config, "@every 2h") || strings.Contains(config, "@every 30m") ||
		!strings.Contains(config, "agent-token: ") {
		t.Errorf("%v: it has the wrong schedule", err)
	}
	if s := k.Cluster().Status.Machines[0].SnapshotSchedule; s != "2h" {
		t.Errorf("recorded %q", s)
	}
}
