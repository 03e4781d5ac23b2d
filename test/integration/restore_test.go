package integration

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// snapshotted creates a cluster with an object and pods from before a snapshot that is kept, and an object from after
// it.
func (w *world) snapshotted(name string, n int) (api.Ref, api.Snapshot) {
	w.t.Helper()
	ref := w.create(name, n, client.CreateOptions{})
	w.awaitReady(ref)
	w.check(w.cloud.WriteObject(ref.UID, "before", "1"))
	for _, m := range w.get(ref).Status.Machines {
		w.check(w.cloud.AddPod(ref.UID, m.NodeName, "default/on-"+m.Name, "shop"))
	}
	asked, err := w.ops.CreateSnapshot(w.t.Context(), ref.Name, "mine")
	w.check(err)
	s, err := w.ops.AwaitSnapshotKept(w.t.Context(), asked.Snapshot, patience, func(string) {})
	w.check(err)
	w.check(w.cloud.WriteObject(ref.UID, "after", "1"))
	return ref, s
}

// restore requests a restore as skyctl does, and waits for its end.
func (w *world) restore(ref api.Ref, o client.RestoreOptions) (*api.Cluster, error) {
	w.t.Helper()
	r, err := w.ops.RestoreCluster(w.t.Context(), w.get(ref), o)
	w.check(err)
	w.check(r.Unstarted)
	return w.ops.AwaitRestored(w.t.Context(), r.Cluster, patience, func(client.Progress) {})
}

// stop stops a cluster, and waits until its machines are ended.
func (w *world) stop(ref api.Ref) {
	w.t.Helper()
	stopped, err := w.ops.StopCluster(w.t.Context(), ref)
	w.check(err)
	_, err = w.ops.AwaitStopped(w.t.Context(), stopped.Cluster, patience, func(client.Progress) {})
	w.check(err)
}

// start starts a stopped cluster, and waits until that has ended.
func (w *world) start(ref api.Ref) (*api.Cluster, error) {
	w.t.Helper()
	started, err := w.ops.StartCluster(w.t.Context(), ref)
	w.check(err)
	return w.ops.AwaitRestored(w.t.Context(), started.Cluster, patience, func(client.Progress) {})
}

// loseServer makes the machine of the server go away, and requests what a sweep does then.
func (w *world) loseServer(ref api.Ref, s api.Snapshot) {
	w.t.Helper()
	head, err := w.get(ref).Head()
	w.check(err)
	w.requestServer(ref, s, head.Incarnation)
}

func (w *world) requestServer(ref api.Ref, s api.Snapshot, lost string) {
	w.t.Helper()
	_, err := w.store.UpdateCluster(w.t.Context(), ref, func(c *api.Cluster) error {
		c.Status.Restore = &api.RestoreRequest{ID: "restore-" + lost, Snapshot: s.Name, SnapshotUID: ref.UID,
			Mode: api.RestoreNewServer, Reason: api.RestoreServerLost, AskedAt: time.Now().UTC(), LostServer: lost}
		return nil
	})
	w.check(err)
	w.check(start.SignalOperation(w.t.Context(), w.temporal, w.queue, ref.Name, operation.WorkflowRestore, "Restore",
		operation.RestoreInput{Cluster: ref}))
}

// hasStateOfBefore checks that the cluster has what it had at the snapshot, and Nodes of its own machines only.
func (w *world) hasStateOfBefore(ref api.Ref, n int) {
	w.t.Helper()
	if got := slices.Collect(maps.Keys(w.cloud.ReadObjects(ref.UID))); !slices.Equal(got, []string{"before"}) {
		w.t.Errorf("there are %v", got)
	}
	w.healthy(ref, n)
	nodes, passwords, _ := w.cloud.ListNodes(ref.UID)
	if len(nodes) != n || len(passwords) < n-1 { // RKE2 forgets that of the restored server
		w.t.Errorf("Nodes %v, passwords of %v", nodes, passwords)
	}
	if c := w.get(ref); c.Status.Restore != nil || c.Status.Restored == nil || c.Status.Operation != nil {
		w.t.Errorf("restore %+v, restored %+v, operation %+v", c.Status.Restore, c.Status.Restored, c.Status.Operation)
	}
}

// hasPodsOn checks that the pods on these machines are there, and no others.
func (w *world) hasPodsOn(ref api.Ref, machines ...string) {
	w.t.Helper()
	var want []string
	for _, m := range machines {
		want = append(want, "default/on-"+m)
	}
	if got := w.cloud.ListPods(ref.UID, ""); !slices.Equal(got, want) {
		w.t.Errorf("there are the pods %v, want %v", got, want)
	}
}

// incarnations returns those of a cluster's machines, by name.
func (w *world) incarnations(ref api.Ref) map[string]string {
	all := map[string]string{}
	for _, m := range w.get(ref).Status.Machines {
		all[m.Name] = m.Incarnation
	}
	return all
}

// lastEvent returns the message of the last event with a reason.
func (w *world) lastEvent(ref api.Ref, reason string) string {
	w.t.Helper()
	events, err := w.store.ListEvents(w.t.Context(), ref.UID)
	w.check(err)
	message := ""
	for _, e := range events {
		if e.Reason == reason {
			message = e.Message
		}
	}
	return message
}

// awaitRestored waits until a restore that no client requested has ended.
func (w *world) awaitRestored(ref api.Ref) {
	w.t.Helper()
	eventually.Holds(w.t, "the restore ends", func() bool {
		c := w.get(ref)
		if c.Status.Phase == api.PhaseError {
			w.t.Fatalf("failure: %+v", c.Status.Failure)
		}
		return c.Status.Phase == api.PhaseReady && c.Status.Restored != nil
	})
	_ = w.temporal.GetWorkflow(w.t.Context(), operation.WorkflowID(ref.Name), "").Get(w.t.Context(), nil)
}

func TestClusterIsRestoredInPlace(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("inplace", 3)
	before := w.incarnations(ref)
	c, err := w.restore(ref, client.RestoreOptions{Snapshot: s})
	w.check(err)
	w.hasStateOfBefore(ref, 3)
	w.hasPodsOn(ref, "sky-inplace-0", "sky-inplace-1", "sky-inplace-2")
	if !maps.Equal(before, w.incarnations(ref)) {
		t.Errorf("machines %v, before %v", w.incarnations(ref), before)
	}
	if r := c.Status.Restored; r.Snapshot != "mine" || !r.StateOf.Equal(s.TakenAt) || r.Until.Before(r.StateOf) {
		t.Errorf("%+v", r)
	}
	said := w.lastEvent(ref, "Restored")
	if !strings.Contains(said, "/db/etcd-old-") || !strings.Contains(said, "as snapshot before-restore-") {
		t.Errorf("the event says %q", said)
	}
	w.keep("restore-in-place", w.closed(ref.Name)[0])
}

func TestWorkerWithANewerNodePasswordRejoins(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("newer-password", 2)
	w.check(w.cloud.RenewNodePassword("sky-newer-password-1"))
	before := w.incarnations(ref)
	_, err := w.restore(ref, client.RestoreOptions{Snapshot: s})
	w.check(err)
	w.hasStateOfBefore(ref, 2)
	if !maps.Equal(before, w.incarnations(ref)) {
		t.Errorf("machines %v, before %v", w.incarnations(ref), before)
	}
	if said := w.lastEvent(ref, "Restored"); strings.Contains(said, "is repaired next") {
		t.Errorf("the event says %q", said)
	}
	journal, _, err := w.cloud.ReadMachineFile("sky-newer-password-1", "/run/systemd/system/journal")
	if err != nil || !strings.Contains(journal, "Node password rejected") {
		t.Errorf("the password of before fits: %v\n%s", err, journal)
	}
}

func TestLostServerIsRestoredAndItsWorkersRejoin(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("newserver", 3)
	before := w.incarnations(ref)
	w.cloud.LoseMachine("sky-newserver-0")
	w.loseServer(ref, s)
	w.awaitRestored(ref)
	w.hasStateOfBefore(ref, 3)
	w.hasPodsOn(ref, "sky-newserver-1", "sky-newserver-2")
	after := w.incarnations(ref)
	if before["sky-newserver-0"] == after["sky-newserver-0"] || before["sky-newserver-1"] != after["sky-newserver-1"] {
		t.Errorf("machines %v, before %v", after, before)
	}
	w.keep("restore-new-server", w.closed(ref.Name)[0])
}

func TestServerIsLaunchedAgainAfterACloudHadNoRoom(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("noroom", 2)
	w.cloud.LoseMachine("sky-noroom-0")
	full := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: "sky-noroom-0", Times: 1,
		Err: simcloud.NewRefusal(cloud.Capacity)})
	w.loseServer(ref, s)
	w.awaitRestored(ref)
	w.hasStateOfBefore(ref, 2)
	if n := w.cloud.CountFaultHits(full); n != 1 {
		t.Errorf("the cloud had no room %d times", n)
	}
	w.keep("restore-new-server-no-room", w.closed(ref.Name)[0])
}

func TestNothingIsRestoredWhileTheOldServerIsListed(t *testing.T) {
	const listed = 5 * time.Second
	w := newWorld(t)
	ref, s := w.snapshotted("listed", 2)
	w.cloud.KeepListed("sky-listed-0", listed)
	began := time.Now()
	w.loseServer(ref, s)
	w.awaitRestored(ref)
	w.hasStateOfBefore(ref, 2)
	head, err := w.get(ref).Head()
	w.check(err)
	if after := head.LaunchedAt.Sub(began); after < listed {
		t.Errorf("another server was launched after %v", after)
	}
	w.keep("restore-new-server-listed", w.closed(ref.Name)[0])
}

func TestClusterIsRestoredOnNewMachines(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("anew", 3)
	before := w.incarnations(ref)
	_, err := w.restore(ref, client.RestoreOptions{Snapshot: s, NewMachines: true})
	w.check(err)
	w.hasStateOfBefore(ref, 3)
	w.hasPodsOn(ref)
	for name, incarnation := range w.incarnations(ref) {
		if before[name] == incarnation {
			t.Errorf("%s is the machine of before", name)
		}
	}
	w.keep("restore-new-machines", w.closed(ref.Name)[0])
}

// setSnapshotQuota lets snapshots need so many bytes.
func (w *world) setSnapshotQuota(bytes uint64) {
	w.t.Helper()
	w.running.Stop()
	w.acts.Snapshots.Files.QuotaBytes = bytes
	w.work()
}

func TestStateThatCannotBeKeptIsNotReplaced(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("crammed", 2)
	w.setSnapshotQuota(10)
	before := w.incarnations(ref)
	onNew := client.RestoreOptions{Snapshot: s, NewMachines: true}
	for _, o := range []client.RestoreOptions{{Snapshot: s}, onNew} {
		_, err := w.restore(ref, o)
		if failed := new(client.OperationFailedError); !errors.As(err, &failed) || !failed.Unchanged ||
			!strings.Contains(failed.Reason, "nothing was changed: the present state could not be kept") ||
			!strings.Contains(failed.Reason, "--discard-state") {
			t.Errorf("got %v", err)
		}
	}
	w.healthy(ref, 2)
	if c := w.get(ref); !maps.Equal(before, w.incarnations(ref)) || c.Status.Restore != nil ||
		len(w.cloud.ReadObjects(ref.UID)) != 2 || w.lastEvent(ref, "StateNotKept") != "" ||
		!strings.Contains(w.lastEvent(ref, "SnapshotFailed"), "may need") {
		t.Errorf("machines %v, before %v; %+v", w.incarnations(ref), before, c.Status.Restore)
	}
	w.keep("restore-state-not-kept", w.closed(ref.Name)[0])

	discard := onNew
	discard.DiscardState = true
	_, err := w.restore(ref, discard)
	w.check(err)
	w.hasStateOfBefore(ref, 2)
	if said := w.lastEvent(ref, "Restored"); !strings.Contains(said, "not kept as a snapshot: it was discarded") {
		t.Errorf("the event says %q", said)
	}

	w.cloud.LoseMachine("sky-crammed-0") // skyd's record still says that it serves
	c, err := w.restore(ref, onNew)
	w.check(err)
	w.hasStateOfBefore(ref, 2)
	if said := w.lastEvent(ref, "StateNotKept"); !strings.Contains(said, "answer, and the server took no") ||
		c.Status.Restored.NotKept == "" {
		t.Errorf("the event says %q, the record %+v", said, c.Status.Restored)
	}
	w.keep("restore-server-silent", w.closed(ref.Name)[0])
}

func TestStateOfAClusterWithASilentAPIIsKept(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("muted", 2)
	w.check(w.cloud.BlockAPI("sky-muted-0", true))
	c, err := w.restore(ref, client.RestoreOptions{Snapshot: s, NewMachines: true})
	w.check(err)
	w.hasStateOfBefore(ref, 2)
	w.keep("restore-api-silent", w.closed(ref.Name)[0])
	if r := c.Status.Restored; r.NotKept != "" || w.lastEvent(ref, "StateNotKept") != "" {
		t.Errorf("the record is %+v", r)
	}
	all, err := w.store.ListSnapshots(t.Context(), ref.UID)
	w.check(err)
	if !slices.ContainsFunc(all, func(s api.Snapshot) bool {
		return s.Reason == api.SnapshotBeforeRestore && s.State == api.SnapshotKept
	}) {
		t.Errorf("there are %+v", all)
	}
}

// requestForeign requests a restore on new machines as a client does that does not check the snapshot.
func (w *world) requestForeign(ref api.Ref, s api.Snapshot) {
	w.t.Helper()
	_, err := w.store.UpdateCluster(w.t.Context(), ref, func(c *api.Cluster) error {
		c.Status.Restore = &api.RestoreRequest{ID: "restore-foreign", Snapshot: s.Name, SnapshotUID: s.ClusterUID,
			Mode: api.RestoreNewMachines, Reason: api.RestoreAsked, AskedAt: time.Now().UTC()}
		return nil
	})
	w.check(err)
	w.check(start.SignalOperation(w.t.Context(), w.temporal, w.queue, ref.Name, operation.WorkflowRestore, "Restore",
		operation.RestoreInput{Cluster: ref}))
}

func TestSnapshotOfAnotherClusterIsRestoredOnceThatIsDeleted(t *testing.T) {
	w := newWorld(t)
	donor, s := w.snapshotted("donor", 2)
	heir := w.create("heir", 2, client.CreateOptions{})
	w.awaitReady(heir)
	w.check(w.cloud.WriteObject(heir.UID, "of-heir", "1"))
	before := w.incarnations(heir)
	o := client.RestoreOptions{Snapshot: s, NewMachines: true, Force: true}
	refused := new(api.RefusedError)
	if _, err := w.ops.RestoreCluster(t.Context(), w.get(heir), o); !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "cluster donor still exists (READY)") {
		t.Errorf("got %v", err)
	}
	w.requestForeign(heir, s)
	eventually.Holds(t, "the worker refuses it, too", func() bool { return w.get(heir).Status.Restore == nil })
	_ = w.temporal.GetWorkflow(t.Context(), operation.WorkflowID(heir.Name), "").Get(t.Context(), nil)
	if said := w.lastEvent(heir, "RestoreFailed"); !strings.Contains(said, "nothing was changed") ||
		!strings.Contains(said, "cluster donor still exists") || !maps.Equal(before, w.incarnations(heir)) {
		t.Errorf("the event says %q; machines %v, before %v", said, w.incarnations(heir), before)
	}
	w.healthy(donor, 2)
	w.healthy(heir, 2)

	w.delete(donor, false)
	w.awaitGone(donor)
	c, err := w.restore(heir, o)
	w.check(err)
	w.hasStateOfBefore(heir, 2)
	w.hasPodsOn(heir)
	if r := c.Status.Restored; !r.OtherCluster || r.SnapshotUID != donor.UID {
		t.Errorf("%+v", r)
	}
	w.keep("restore-foreign", w.closed(heir.Name)[0])

	asked, err := w.ops.CreateSnapshot(t.Context(), heir.Name, "of-heir")
	w.check(err)
	own, err := w.ops.AwaitSnapshotKept(t.Context(), asked.Snapshot, patience, func(string) {})
	w.check(err)
	c, err = w.restore(heir, client.RestoreOptions{Snapshot: own})
	w.check(err)
	third := &api.Cluster{Metadata: api.Metadata{Name: "third", UID: "third"}}
	if twin, err := w.store.FindTwin(t.Context(), third, s); own.AuthorityUID != donor.UID ||
		c.Status.AuthorityUID != donor.UID || err != nil || twin == nil || twin.Metadata.UID != heir.UID {
		t.Errorf("the snapshot has certificates of %q, the cluster of %q; twin %+v, %v", own.AuthorityUID,
			c.Status.AuthorityUID, twin, err)
	}
}

func TestDamagedSnapshotChangesNothing(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("damaged", 2)
	v, err := w.acts.Nodes.Snapshots.VaultOf(t.Context(), s)
	w.check(err)
	w.check(v.Delete(t.Context(), s.Object))
	_, err = v.Put(t.Context(), s.Object, strings.NewReader("something else"))
	w.check(err)
	before := w.incarnations(ref)
	_, err = w.restore(ref, client.RestoreOptions{Snapshot: s, NewMachines: true})
	if failed := new(client.OperationFailedError); !errors.As(err, &failed) ||
		!strings.Contains(failed.Reason, "nothing was changed") || !strings.Contains(failed.Reason, "damaged") {
		t.Errorf("got %v", err)
	}
	w.healthy(ref, 2)
	if c := w.get(ref); !maps.Equal(before, w.incarnations(ref)) || c.Status.Restore != nil ||
		len(w.cloud.ReadObjects(ref.UID)) != 2 {
		t.Errorf("machines %v, before %v; %+v", w.incarnations(ref), before, c.Status.Restore)
	}
	w.keep("restore-refused", w.closed(ref.Name)[0])
}

func TestClusterIsDeletedInTheMiddleOfARestore(t *testing.T) {
	w := newWorld(t)
	ref, s := w.snapshotted("halfway", 2)
	fault := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Hang: true})
	_, err := w.ops.RestoreCluster(t.Context(), w.get(ref), client.RestoreOptions{Snapshot: s, NewMachines: true})
	w.check(err)
	eventually.Holds(t, "a launch hangs", func() bool { return w.cloud.CountFaultHits(fault) > 0 })
	w.delete(ref, false)
	w.awaitGone(ref)
	if left := w.cloud.ExistingMachines("sky-halfway-"); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	runs := w.closed(ref.Name)
	w.keep("restore-deleted", runs[0])
	w.keep("delete-after-restore", runs[1])
}

func TestStoppedClusterIsLeftAloneAndStarted(t *testing.T) {
	w := newWorld(t)
	ref, _ := w.snapshotted("asleep", 3)
	w.stop(ref)
	if r := w.sweep(ref.Name); len(r.Drifted) != 0 {
		t.Errorf("the sweep found %+v", r.Drifted)
	}
	asleep := w.get(ref)
	if left := w.cloud.ExistingMachines("sky-asleep-"); len(left) > 0 || asleep.Status.Phase != api.PhaseStopped ||
		asleep.Status.CostPerHour() != 0 || asleep.Status.Operation != nil {
		t.Errorf("left: %+v, %s, %v", left, asleep.Status.Phase, asleep.Status.Operation)
	}
	w.keep("stop", w.closed(ref.Name)[0])
	c, err := w.start(ref)
	w.check(err)
	w.healthy(ref, 3)
	if got := len(w.cloud.ReadObjects(ref.UID)); got != 2 || c.Status.Stop != nil {
		t.Errorf("%d objects, stop %+v", got, c.Status.Stop)
	}
	w.keep("start", w.closed(ref.Name)[0])
}

func TestMachineOfAStoppedClusterThatAppearsIsEnded(t *testing.T) {
	w := newWorld(t)
	ref, _ := w.snapshotted("haunted", 2)
	w.stop(ref)
	w.plant(ref, cloud.Machine{Name: "sky-haunted-1", Index: 1, Incarnation: "late"})
	if c := w.repair(ref); c.Status.Phase != api.PhaseStopped || c.Status.Operation != nil {
		t.Errorf("%s, %+v", c.Status.Phase, c.Status.Operation)
	}
	if left := w.cloud.ExistingMachines("sky-haunted-"); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	if r := w.sweep(ref.Name); len(r.Drifted) != 0 {
		t.Errorf("the sweep found %+v", r.Drifted)
	}
}

func TestStoppedClusterIsDeleted(t *testing.T) {
	w := newWorld(t)
	ref, _ := w.snapshotted("unneeded", 2)
	w.stop(ref)
	w.delete(ref, false)
	w.awaitGone(ref)
	w.keep("delete-stopped", w.closed(ref.Name)[0])
}

func TestStartThatFindsNoMachinesLeavesTheClusterStopped(t *testing.T) {
	w := newWorld(t)
	ref, _ := w.snapshotted("tired", 2)
	w.stop(ref)
	full := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Err: simcloud.NewRefusal(cloud.Capacity)})
	if _, err := w.start(ref); err == nil {
		t.Fatal("it started")
	}
	c := w.get(ref)
	if c.Status.Phase != api.PhaseStopped || c.Status.Failure == nil || c.Status.Stop == nil ||
		c.Status.Restore != nil {
		t.Fatalf("%s: %+v, %+v, %+v", c.Status.Phase, c.Status.Failure, c.Status.Stop, c.Status.Restore)
	}
	w.keep("start-nowhere", w.closed(ref.Name)[0])
	w.cloud.EndFault(full)
	_, err := w.start(ref)
	w.check(err)
	w.healthy(ref, 2)
}
