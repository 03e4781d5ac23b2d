package integration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	scenes "github.com/sky-shift/skyctl/test/snapshotscenes"
	"github.com/sky-shift/skyctl/workflows"
)

// keeper keeps the snapshots of a READY cluster of one machine with whole operations, as skyd does.
type keeper struct {
	*scenes.Keeper
	world *world
	// started and kept are the runs of ScheduleSnapshots and of KeepSnapshots.
	started, kept []run
}

func newKeeper(t *testing.T, name string, policy api.SnapshotPolicy) *keeper {
	t.Helper()
	return newKeeperIn(newWorld(t), name, policy)
}

// newKeeperIn is newKeeper in a world that exists.
func newKeeperIn(w *world, name string, policy api.SnapshotPolicy) *keeper {
	t := w.t
	t.Helper()
	name = "snapshots-" + name // other tests share the Temporal, where names of clusters are ids
	k := &keeper{world: w, Keeper: &scenes.Keeper{T: t, Cloud: w.cloud, Store: w.store, Files: w.acts.Snapshots.Files}}
	k.Steps = k
	w.acts.Snapshots.Now = k.Now
	cl := api.NewCluster(name, "", spec(1), nil, time.Now())
	cl.Spec.Snapshots = policy
	created, err := w.ops.CreateCluster(t.Context(), cl, client.CreateOptions{})
	k.Check(err)
	k.Ref = created.Cluster.Ref()
	w.awaitReady(k.Ref)
	return k
}

// StartDue implements scenes.Steps.
func (k *keeper) StartDue() (started int) {
	k.T.Helper()
	run, err := k.world.temporal.ExecuteWorkflow(k.T.Context(), sdkclient.StartWorkflowOptions{
		TaskQueue: k.world.queue}, workflows.ScheduleSnapshots)
	k.Check(err)
	k.Check(run.Get(k.T.Context(), &started))
	k.started = append(k.started, k.world.runOf(run.GetID(), run.GetRunID()))
	return started
}

// KeepSnapshots implements scenes.Steps.
func (k *keeper) KeepSnapshots() {
	k.T.Helper()
	ctx, cancel := context.WithTimeout(k.T.Context(), patience)
	defer cancel()
	k.Check(start.SignalKeepSnapshots(ctx, k.world.temporal, k.world.queue,
		operation.KeepSnapshotsInput{Cluster: k.Ref}))
	id := operation.KeepSnapshotsID(k.Ref.Name)
	k.Check(k.world.temporal.GetWorkflow(ctx, id, "").Get(ctx, nil))
	k.kept = append(k.kept, k.world.runOf(id, ""))
}

// Tries implements scenes.Steps.
func (k *keeper) Tries() int { return 2 }

// Restart implements scenes.Steps.
func (k *keeper) Restart(between func()) {
	k.T.Helper()
	k.world.running.Stop()
	between()
	k.world.work()
}

// RequestSnapshot implements scenes.Steps.
func (k *keeper) RequestSnapshot(name string) {
	k.T.Helper()
	asked, err := k.world.ops.CreateSnapshot(k.T.Context(), k.Ref.Name, name)
	k.Check(errors.Join(err, asked.Unstarted))
}

// RequestDelete implements scenes.Steps.
func (k *keeper) RequestDelete(s api.Snapshot) {
	k.T.Helper()
	deleted, err := k.world.ops.DeleteSnapshot(k.T.Context(), s)
	k.Check(errors.Join(err, deleted.Unstarted))
}

// DeleteCluster implements scenes.Steps.
func (k *keeper) DeleteCluster() {
	k.T.Helper()
	k.world.delete(k.Ref, false)
	k.world.awaitGone(k.Ref)
}

func TestScheduledSnapshotsAreKeptOffTheMachine(t *testing.T) {
	k := newKeeper(t, "by-schedule", api.SnapshotPolicy{})
	k.KeepScheduled()
	k.world.keep("schedule-snapshots", k.started[0])
	k.world.keep("keep-snapshots", k.kept[0])
}

func TestAskedSnapshotIsKeptUntilAPersonDeletesIt(t *testing.T) {
	newKeeper(t, "asked", scenes.ShortLived).KeepAsked()
}

func TestInterruptedCollectLeavesNothingHalf(t *testing.T) {
	k := newKeeper(t, "cut", scenes.NoSchedule)
	k.InterruptCollect()
	k.world.keep("keep-snapshots-cut", k.kept[0])
}

func TestDeleteTakesScheduledSnapshotsWithIt(t *testing.T) {
	newKeeper(t, "deleted", api.SnapshotPolicy{}).DeleteWithCluster()
}

func TestSnapshotsAreVerifiedOneAfterTheOther(t *testing.T) {
	k := newKeeper(t, "verified", scenes.NoSchedule)
	k.Ask("spoilt")
	k.Ask("whole")
	k.Keep()
	k.Check(os.WriteFile(filepath.Join(k.Files.Dir, k.Ref.UID, "spoilt"), []byte("something else"), 0o600))
	k.Update("spoilt", func(s *api.Snapshot) { s.RequestCheck(time.Now().UTC().Add(-time.Second)) })
	whole, err := k.Store.ReadSnapshot(t.Context(), k.Ref, "whole")
	k.Check(err)
	asked, err := k.world.ops.VerifySnapshot(t.Context(), whole)
	k.Check(errors.Join(err, asked.Unstarted))
	k.Check(k.world.temporal.GetWorkflow(t.Context(), operation.VerifySnapshotsID, "").Get(t.Context(), nil))
	results := map[string]api.SnapshotResult{}
	for _, s := range k.Snapshots() {
		results[s.Name] = s.Check.Result
	}
	// This cloud has no host apart for the one whose file can be read.
	if results["spoilt"] != api.SnapshotDamaged || results["whole"] != api.SnapshotUnknown {
		t.Errorf("results %v", results)
	}
	runs := k.world.runsOfWorkflow(operation.VerifySnapshotsID)
	k.world.keep("verify-snapshots", runs[0])
	k.world.keep("verify-snapshots-none-left", runs[len(runs)-1])
}
