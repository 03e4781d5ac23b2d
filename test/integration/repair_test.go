package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// sweep runs a sweep over one cluster, or over all if it is "".
func (w *world) sweep(cluster string) operation.SweepResult {
	w.t.Helper()
	var r operation.SweepResult
	if err := w.beginSweep(cluster).Get(w.t.Context(), &r); err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
	return r
}

func (w *world) beginSweep(cluster string) sdkclient.WorkflowRun {
	w.t.Helper()
	w.sweeps++
	run, err := w.temporal.ExecuteWorkflow(w.t.Context(),
		sdkclient.StartWorkflowOptions{ID: w.sweepID(),
			TaskQueue: w.queue}, operation.WorkflowSweep, operation.SweepInput{Cluster: cluster})
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) sweepID() string { return fmt.Sprintf("sweep/%s-%d", w.queue, w.sweeps) }

// plant adds a machine to the cloud that has the labels of this installation and of a cluster, without a create.
func (w *world) plant(ref api.Ref, m cloud.Machine) {
	w.t.Helper()
	installation, err := w.store.EnsureInstallationID(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	m.Owner = cloud.Owner{Installation: installation, Cluster: ref.Name, ClusterUID: ref.UID}
	w.cloud.AddForeignMachine(m)
}

// repair sweeps a cluster, and waits until the repair that the sweep starts has ended.
func (w *world) repair(ref api.Ref) *api.Cluster {
	w.t.Helper()
	r := w.sweep(ref.Name)
	if len(r.Drifted) != 1 || r.Drifted[0].Started == "" {
		w.t.Fatalf("no repair was started: %+v", r)
	}
	// the result is in etcd
	_ = w.temporal.GetWorkflow(w.t.Context(), operation.WorkflowID(ref.Name), "").Get(w.t.Context(), nil)
	return w.get(ref)
}

// awaitRepair waits until the repair that a sweep started has ended. A sweep leaves a cluster to the next one while the
// operation before is closing, and if etcd or the cluster does not answer in time; then it sweeps again.
func (w *world) awaitRepair(ref api.Ref, swept operation.SweepResult) error {
	w.t.Helper()
	began := func() bool {
		i := slices.IndexFunc(swept.Drifted, func(d operation.DriftedCluster) bool { return d.Cluster == ref.Name })
		return i >= 0 && swept.Drifted[i].Started == operation.WorkflowConverge
	}
	for end := time.Now().Add(patience); !began(); swept = w.sweep(ref.Name) {
		w.t.Logf("a sweep has not started the repair of %s: %+v", ref.Name, swept)
		if time.Now().After(end) {
			w.t.Fatal("no sweep starts the repair")
		}
		w.awaitClosed(ref)
	}
	return w.temporal.GetWorkflow(w.t.Context(), operation.WorkflowID(ref.Name), "").Get(w.t.Context(), nil)
}

// healthy checks that the cloud has exactly the n recorded machines of a cluster, and that no drift remains.
func (w *world) healthy(ref api.Ref, n int) {
	w.t.Helper()
	if r := w.sweep(ref.Name); len(r.Drifted) != 0 {
		w.t.Errorf("drift remains: %+v", r.Drifted)
	}
	c := w.get(ref)
	if c.Status.Phase != api.PhaseReady || len(c.Status.Drift) != 0 {
		w.t.Errorf("%s with drift %v", c.Status.Phase, c.Status.Drift)
	}
	there := w.cloud.ExistingMachines("sky-" + ref.Name + "-")
	if len(there) != n {
		w.t.Errorf("%d machines, want %d", len(there), n)
	}
	for _, m := range there {
		if !slices.ContainsFunc(c.Status.Machines, func(r api.Machine) bool {
			return r.Index == m.Index && r.Incarnation == m.Incarnation && r.State == api.MachineReady
		}) {
			w.t.Errorf("%s of incarnation %s is not on record as Ready: %+v", m.Name, m.Incarnation, c.Status.Machines)
		}
	}
}

func lastRepair(t *testing.T, c *api.Cluster, kind api.ActionKind, machine string) api.Repair {
	t.Helper()
	for _, r := range slices.Backward(c.Status.Repairs) {
		if r.Action.Kind == kind && r.Action.Machine == machine {
			if r.Ended.IsZero() || r.Error != "" {
				t.Errorf("%s of %s: ended %v, error %q", kind, machine, r.Ended, r.Error)
			}
			return r
		}
	}
	t.Fatalf("no %s of %s on record: %+v", kind, machine, c.Status.Repairs)
	return api.Repair{}
}

func TestHealthyClusterIsNotChanged(t *testing.T) {
	w := newWorld(t)
	ref := w.create("well", 3, client.CreateOptions{})
	w.awaitReady(ref)
	w.healthy(ref, 3)
	before := w.get(ref)
	w.healthy(ref, 3)
	if after := w.get(ref); after.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("a second sweep wrote revision %d after %d", after.Metadata.Revision, before.Metadata.Revision)
	}
}

func TestLostWorkerIsReplaced(t *testing.T) {
	w := newWorld(t)
	ref := w.create("loser", 3, client.CreateOptions{})
	before := w.awaitReady(ref)
	w.cloud.LoseMachine("sky-loser-1")
	after := w.repair(ref)
	w.healthy(ref, 3)
	lastRepair(t, after, api.ActionReplace, "sky-loser-1")
	if before.Status.Machines[1].Incarnation == after.Status.Machines[1].Incarnation {
		t.Error("it has the incarnation of the lost machine")
	}
	w.keep("converge-replace", w.runsOf(ref.Name)[0])
	events, err := w.store.ListEvents(t.Context(), ref.UID)
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{string(api.DriftMachineGone), string(api.ActionReplace)} {
		if !slices.ContainsFunc(events, func(e api.Event) bool {
			return e.Reason == reason && e.Machine == "sky-loser-1"
		}) {
			t.Errorf("no event %s in %+v", reason, events)
		}
	}
}

func TestSimultaneousFaultsAreRepaired(t *testing.T) {
	w := newWorld(t)
	ref := w.create("messy", 4, client.CreateOptions{})
	c := w.awaitReady(ref)
	w.cloud.LoseMachine("sky-messy-1")
	w.cloud.LoseMachine("sky-messy-2")
	if err := os.Remove(filepath.Join(w.home, "messy", "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	w.plant(ref, cloud.Machine{Name: "sky-messy-9", Index: 9, Incarnation: "extra"})
	w.repair(ref)
	w.healthy(ref, 4)
	if _, err := os.Stat(filepath.Join(w.home, "messy", "kubeconfig")); err != nil {
		t.Error(err)
	}
	if n := w.cloud.CountLaunches("sky-messy-", ""); n != 7 { // four, the planted machine and two replacements
		t.Errorf("%d launches", n)
	}
	if w.get(ref).Status.Machines[3].Incarnation != c.Status.Machines[3].Incarnation {
		t.Error("a healthy machine was replaced")
	}
}

func TestUnreachableCloudChangesNothing(t *testing.T) {
	w := newWorld(t)
	ref := w.create("blind", 2, client.CreateOptions{})
	w.awaitReady(ref)
	f := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList, Err: simcloud.NewRefusal(cloud.Unreachable)})
	r := w.sweep(ref.Name)
	if slices.ContainsFunc(r.Drifted, func(d operation.DriftedCluster) bool { return d.Started != "" }) {
		t.Errorf("an operation was started: %+v", r)
	}
	c := w.get(ref)
	if cond := c.Status.FindCondition(api.Reachable); cond == nil || cond.Status != api.ConditionUnknown ||
		c.Status.Phase != api.PhaseReady {
		t.Errorf("%s, Reachable %+v", c.Status.Phase, cond)
	}
	w.cloud.EndFault(f)
	w.healthy(ref, 2)
	if cond := w.get(ref).Status.FindCondition(api.Reachable); cond.Status != api.ConditionTrue {
		t.Errorf("Reachable %+v", cond)
	}
}

func TestUnreachableCloudDoesNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	ref := w.create("beside", 2, client.CreateOptions{})
	w.awaitReady(ref)
	away := func(name string) *simcloud.Fault {
		return w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList,
			Err: &cloud.PartialError{Clouds: map[string]error{name: simcloud.NewRefusal(cloud.Transient)}}})
	}
	own := away(simcloud.Name)
	w.cloud.LoseMachine("sky-beside-1")
	if r := w.sweep(ref.Name); slices.ContainsFunc(r.Drifted,
		func(d operation.DriftedCluster) bool { return d.Started != "" }) {
		t.Errorf("an operation was started although the cluster's cloud does not answer: %+v", r)
	}
	if cond := w.get(ref).Status.FindCondition(api.Reachable); cond == nil || cond.Status != api.ConditionUnknown ||
		!strings.Contains(cond.Message, "refuses (Transient)") {
		t.Errorf("Reachable %+v", cond)
	}
	w.cloud.EndFault(own)
	another := away("another")
	lastRepair(t, w.repair(ref), api.ActionReplace, "sky-beside-1")
	w.healthy(ref, 2)
	w.delete(ref, false)
	w.awaitGone(ref)
	w.cloud.EndFault(another)
}

func TestDeleteTerminatesRecordedMachinesThatAreNotListed(t *testing.T) {
	w := newWorld(t)
	ref := w.create("unlisted", 2, client.CreateOptions{})
	w.awaitReady(ref)
	silent := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList,
		Err: &cloud.PartialError{Clouds: map[string]error{"lost": simcloud.NewRefusal(cloud.Transient)}}})
	if _, err := w.store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error { // it ran there before
		c.Status.Attempts = append(c.Status.Attempts, api.FailedPlacement{Placement: api.Placement{Cloud: "lost"}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.delete(ref, false)
	eventually.Holds(t, "its machines are terminated",
		func() bool { return len(w.cloud.ExistingMachines("sky-unlisted-")) == 0 })
	asked := w.cloud.CountFaultHits(silent)
	eventually.Holds(t, "the cloud is asked again", func() bool { return w.cloud.CountFaultHits(silent) > asked+2 })
	if c := w.get(ref); c.Status.Phase != api.PhaseDeleting {
		t.Errorf("%s although an earlier cloud has not confirmed that it has no machines", c.Status.Phase)
	}
	w.cloud.EndFault(silent)
	w.awaitGone(ref)
}

func TestHangingCloudDoesNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	ref := w.create("prompt", 2, client.CreateOptions{})
	w.awaitReady(ref)
	mute := simcloud.New(here)
	t.Cleanup(mute.Close)
	w.acts.Sweeps.Clouds.Named["mute"] = mute
	hang := mute.InjectFault(simcloud.Fault{Op: simcloud.OpList, Hang: true})
	w.acts.Sweeps.Deadlines.Query = slowBoot // it hangs until the end of the test
	stuck := api.NewCluster("stuck", "uid-stuck", spec(1), nil, time.Now().UTC())
	stuck.Spec.Cloud, stuck.Status.Phase = "mute", api.PhaseReady
	if _, err := w.store.CreateCluster(t.Context(), stuck); err != nil {
		t.Fatal(err)
	}
	w.cloud.LoseMachine("sky-prompt-1")
	run := w.beginSweep("")
	eventually.Holds(t, "the other cluster's machine is replaced", func() bool {
		c := w.get(ref)
		return c.Status.Machines[1].State == api.MachineReady &&
			slices.ContainsFunc(c.Status.Repairs,
				func(r api.Repair) bool { return r.Action.Kind == api.ActionReplace && !r.Ended.IsZero() })
	})
	// the check for orphans, after the one for drift, asks once more
	if n := mute.CountFaultHits(hang); n != 1 {
		t.Errorf("the hanging cloud was asked %d times", n)
	}
	if err := w.temporal.TerminateWorkflow(t.Context(), run.GetID(), run.GetRunID(), "seen enough"); err != nil {
		t.Error(err)
	}
}

func TestOrphansOnAnUnreachableCloudAreKept(t *testing.T) {
	w := newWorld(t)
	ref := w.create("keeper", 1, client.CreateOptions{})
	w.awaitReady(ref)
	w.plant(api.Ref{Name: "old", UID: "uid-old"}, cloud.Machine{Name: "sky-old-0"})
	orphaned := func(r operation.SweepResult) api.Orphan {
		t.Helper()
		i := slices.IndexFunc(r.Orphans, func(o api.Orphan) bool { return o.Name == "sky-old-0" })
		if i < 0 {
			t.Fatalf("orphans %+v", r.Orphans)
		}
		return r.Orphans[i]
	}
	w.acts.Sweeps.OrphanGrace = time.Hour
	first := orphaned(w.sweep(""))
	if first.TerminateAt.IsZero() {
		t.Error("its grace period does not end")
	}
	w.cloud.LoseMachine("sky-old-0")
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList,
		Err: &cloud.PartialError{Clouds: map[string]error{first.Cloud: simcloud.NewRefusal(cloud.Access)}}})
	r := w.sweep("")
	again := orphaned(r)
	if !again.FirstSeen.Equal(first.FirstSeen) || again.State != string(cloud.StateUnknown) ||
		!again.TerminateAt.IsZero() || len(r.Unasked) != 1 {
		t.Errorf("first %+v, then %+v; clouds not asked: %v", first, again, r.Unasked)
	}
}

func TestLostHeadCostsNoWorker(t *testing.T) {
	w := newWorld(t)
	ref := w.create("headless", 3, client.CreateOptions{})
	w.awaitReady(ref)
	w.cloud.LoseMachine("sky-headless-0")
	w.acts.Sweeps.Policy.NotReadyFor = time.Nanosecond
	if r := w.sweep(ref.Name); len(r.Drifted) != 1 || r.Drifted[0].Started != "" {
		t.Errorf("the head is given up at the first sweep: %+v", r)
	}
	c := w.repair(ref)
	if c.Status.Phase != api.PhaseError || c.Status.Failure == nil ||
		c.Status.Failure.Reason != string(api.DriftHeadLost) {
		t.Errorf("%s, failure %+v", c.Status.Phase, c.Status.Failure)
	}
	if n := len(w.cloud.ExistingMachines("sky-headless-")); n != 2 {
		t.Errorf("%d machines, want the two workers", n)
	}
	w.keep("converge-head-lost", w.runsOf(ref.Name)[0])
	w.sweep("")
	if n := len(w.cloud.ExistingMachines("sky-headless-")); n != 2 {
		t.Errorf("a cluster in ERROR lost a machine: %d remain", n)
	}
}

func TestFailedReplacementIsCleanedUpAndRetriedLater(t *testing.T) {
	w := newWorld(t)
	ref := w.create("scarce", 2, client.CreateOptions{})
	w.awaitReady(ref)
	f := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Err: simcloud.NewRefusal(cloud.Capacity)})
	w.cloud.LoseMachine("sky-scarce-1")
	c := w.repair(ref)
	last := c.Status.Repairs[len(c.Status.Repairs)-1]
	if last.Action.Kind != api.ActionBringUp || last.Error == "" || c.Status.Phase != api.PhaseReady ||
		len(c.Status.Drift) == 0 {
		t.Errorf("%s, repair %+v, drift %v", c.Status.Phase, last, c.Status.Drift)
	}
	w.keep("converge-refused", w.runsOf(ref.Name)[0])
	hits := w.cloud.CountFaultHits(f)
	w.sweep(ref.Name)
	if w.cloud.CountFaultHits(f) != hits {
		t.Error("it was retried at once")
	}
	w.cloud.EndFault(f)
	run, err := w.temporal.ExecuteWorkflow(t.Context(),
		sdkclient.StartWorkflowOptions{ID: operation.WorkflowID(ref.Name), TaskQueue: w.queue},
		operation.WorkflowConverge, operation.ConvergeInput{Cluster: ref, Again: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
	w.healthy(ref, 2)
}

func TestDeleteTakesOverFromARepair(t *testing.T) {
	w := newWorld(t)
	ref := w.create("caught", 2, client.CreateOptions{})
	w.awaitReady(ref)
	f := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Hang: true})
	w.cloud.LoseMachine("sky-caught-1")
	w.sweep(ref.Name)
	eventually.Holds(t, "the repair waits for a machine", func() bool { return w.cloud.CountFaultHits(f) > 0 })
	w.delete(ref, false)
	w.awaitGone(ref)
	if n := len(w.cloud.ExistingMachines("sky-caught-")); n != 0 {
		t.Errorf("%d machines remain", n)
	}
	w.keep("converge-deleted", w.runsOf(ref.Name)[0])
}

func TestSweepStartsAbandonedOperations(t *testing.T) {
	w := newWorld(t)
	never := w.store1("never-started", 1)
	w.sweep("")
	if c := w.get(never); c.Status.Phase != api.PhaseInit {
		t.Errorf("started before the create itself could start it: %s", c.Status.Phase)
	}
	w.acts.Sweeps.Now = func() time.Time { return time.Now().UTC().Add(time.Minute) }
	w.sweep(never.Name)
	w.awaitReady(never)

	ref := w.create("never-deleted", 1, client.CreateOptions{})
	w.awaitReady(ref)
	_, err := w.store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseDeleting, "", time.Now().UTC())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sweep(ref.Name)
	w.awaitGone(ref)
}

func TestInvalidClusterIsReportedAndDoesNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	bad := w.store1("nonsense", 1)
	_, err := w.store.UpdateCluster(t.Context(), bad, func(c *api.Cluster) error {
		c.Spec.FindPool(api.DefaultPool).Replicas = -4
		c.Status.Phase = api.PhaseReady
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	good := w.create("sense", 2, client.CreateOptions{})
	w.awaitReady(good)
	w.cloud.LoseMachine("sky-sense-1")
	r := w.sweep("")
	of := func(name string) operation.DriftedCluster {
		i := slices.IndexFunc(r.Drifted, func(d operation.DriftedCluster) bool { return d.Cluster == name })
		if i < 0 {
			t.Fatalf("%s is not in %+v", name, r.Drifted)
		}
		return r.Drifted[i]
	}
	if d := of("nonsense"); d.Started != "" || len(d.Drift) != 1 || d.Drift[0].Reason != api.DriftInvalid {
		t.Errorf("got %+v", d)
	}
	if d := of("sense"); d.Started != operation.WorkflowConverge {
		t.Errorf("got %+v", d)
	}
	_ = w.temporal.GetWorkflow(t.Context(), operation.WorkflowID(good.Name), "").Get(t.Context(), nil)
	w.healthy(good, 2)
	events, err := w.store.ListEvents(t.Context(), bad.UID)
	if err != nil || len(events) == 0 || events[len(events)-1].Reason != string(api.DriftInvalid) {
		t.Errorf("events %+v (%v)", events, err)
	}
	if err := w.store.DeleteCluster(t.Context(), bad); err != nil {
		t.Error(err)
	}
}

func TestOrphansAreTerminatedAfterTheirGracePeriod(t *testing.T) {
	w := newWorld(t)
	ref := w.create("parent", 1, client.CreateOptions{})
	w.awaitReady(ref)
	w.plant(api.Ref{Name: "past", UID: "uid-past"}, cloud.Machine{Name: "sky-past-0"})
	w.cloud.AddForeignMachine(cloud.Machine{Owner: cloud.Owner{Installation: "another", Cluster: "past",
		ClusterUID: "uid-past"}, Name: "sky-past-1"})
	w.acts.Sweeps.OrphanGrace = time.Hour
	r := w.sweep("")
	i := slices.IndexFunc(r.Orphans, func(o api.Orphan) bool { return o.Name == "sky-past-0" })
	if i < 0 || slices.ContainsFunc(r.Orphans,
		func(o api.Orphan) bool { return o.Name == "sky-past-1" || o.Cluster == ref.Name }) {
		t.Fatalf("orphans %+v", r.Orphans)
	}
	if len(w.cloud.ExistingMachines("sky-past-")) != 2 {
		t.Error("an orphan was terminated before its grace period ended")
	}
	w.acts.Sweeps.OrphanGrace = time.Nanosecond
	w.sweep("")
	w.keep("sweep-orphans", w.runOf(w.sweepID(), ""))
	if left := w.cloud.ExistingMachines("sky-past-"); len(left) != 1 || left[0].Name != "sky-past-1" {
		t.Errorf("machines remain: %+v", left)
	}
}

func TestReconcileMakesAClusterFixedByHandReady(t *testing.T) {
	w := newWorld(t)
	ref := w.create("mended", 1, client.CreateOptions{})
	w.awaitReady(ref)
	_, err := w.store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseError, "UnitDead", time.Now().UTC())
		c.Status.Failure = &api.Failure{Step: "repair", Machine: "sky-mended-0", Reason: "UnitDead",
			Message: "restarting it does not help"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := w.sweep(ref.Name); len(r.Drifted) != 0 || w.get(ref).Status.Phase != api.PhaseError {
		t.Errorf("an operation was started without a request: %+v", r)
	}
	run, err := w.temporal.ExecuteWorkflow(t.Context(), sdkclient.StartWorkflowOptions{TaskQueue: w.queue},
		operation.WorkflowSweep, operation.SweepInput{Cluster: ref.Name, Again: true})
	if err != nil {
		t.Fatal(err)
	}
	var r operation.SweepResult
	if err := run.Get(t.Context(), &r); err != nil || len(r.Drifted) != 1 ||
		r.Drifted[0].Started != operation.WorkflowConverge {
		t.Fatalf("no operation was started: %+v (%v)", r, err)
	}
	_ = w.temporal.GetWorkflow(t.Context(), operation.WorkflowID(ref.Name), "").Get(t.Context(), nil)
	if c := w.get(ref); c.Status.Phase != api.PhaseReady || c.Status.Failure != nil {
		t.Errorf("%s, failure %+v", c.Status.Phase, c.Status.Failure)
	}
	w.healthy(ref, 1)
}

func TestMachinesOfAClusterWithAnEditedUIDAreNotOrphans(t *testing.T) {
	w := newWorld(t)
	edited := w.store1("edited", 1)
	_, err := w.store.UpdateCluster(t.Context(), edited, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "", time.Now().UTC()) // no machine is on record under its UID
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.plant(api.Ref{Name: "edited", UID: "uid-before"}, cloud.Machine{Name: "sky-edited-0"})
	w.acts.Sweeps.OrphanGrace = time.Nanosecond
	w.sweep("")
	if r := w.sweep(""); len(r.Orphans) != 0 || len(w.cloud.ExistingMachines("sky-edited-")) != 1 {
		t.Errorf("orphans %+v, machines %+v", r.Orphans, w.cloud.ExistingMachines("sky-edited-"))
	}
	if err := w.store.DeleteCluster(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if err := w.store.RecordCloudUse(t.Context(), "sim", time.Now()); err != nil {
		t.Fatal(err)
	}
	w.sweep("")
	if left := w.cloud.ExistingMachines("sky-edited-"); len(left) != 0 {
		t.Errorf("the orphan remains: %+v", left)
	}
}
