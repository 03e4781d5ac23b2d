package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// copied copies a machine of a cluster under another name.
func (w *world) copied(name, as string) cloud.Machine {
	w.t.Helper()
	m, err := w.cloud.CopyMachine(name, as)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// conflicting sweeps a cluster, and checks that one machine is reported and nothing is changed.
func (w *world) conflicting(ref api.Ref, machine string) {
	w.t.Helper()
	r := w.sweep(ref.Name)
	if len(r.Drifted) != 1 || r.Drifted[0].Started != "" || len(r.Drifted[0].Drift) != 1 {
		w.t.Fatalf("drifted %+v", r.Drifted)
	}
	if d := r.Drifted[0].Drift[0]; d.Machine != machine || d.Reason != api.DriftMachineConflict || d.Next == "" {
		w.t.Errorf("drift %+v", d)
	}
}

// ids returns the ids of all existing machines.
func (w *world) ids() []string {
	var all []string
	for _, m := range w.cloud.ExistingMachines("") {
		all = append(all, m.ID)
	}
	return all
}

func (w *world) orphans(terminate ...string) operation.OrphansResult {
	w.t.Helper()
	run, err := w.temporal.ExecuteWorkflow(w.t.Context(), sdkclient.StartWorkflowOptions{TaskQueue: w.queue},
		operation.WorkflowOrphans, operation.OrphansInput{Terminate: terminate})
	if err != nil {
		w.t.Fatal(err)
	}
	var r operation.OrphansResult
	if err := run.Get(w.t.Context(), &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestCopyIsReportedAndTerminatedOnlyByName(t *testing.T) {
	w := newWorld(t)
	w.acts.Sweeps.OrphanGrace = time.Nanosecond
	ref := w.create("copied", 2, client.CreateOptions{})
	w.awaitReady(ref)
	copies := []string{w.copied("sky-copied-0", "backup").ID}
	w.conflicting(ref, "backup")
	// A copy whose name matches its labels, as on clouds that derive names from labels.
	copies = append(copies, w.copied("sky-copied-1", "sky-copied-1").ID)
	w.sweep("")
	if n := len(w.ids()); n != 4 {
		t.Errorf("%d of 4 machines remain", n)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	if left := w.ids(); !slices.Equal(left, copies) {
		t.Fatalf("after the delete %v remain, want the copies %v", left, copies)
	}
	for range 2 {
		w.sweep("")
	}
	r := w.orphans()
	if len(r.Orphans) != 2 {
		t.Fatalf("orphans %+v", r.Orphans)
	}
	for _, o := range r.Orphans {
		if !slices.Contains(copies, o.ID) || o.Conflict == "" || !o.TerminateAt.IsZero() {
			t.Errorf("orphan %+v", o)
		}
	}
	if left := w.ids(); !slices.Equal(left, copies) {
		t.Errorf("a sweep terminated a copy: %v remain of %v", left, copies)
	}
	w.orphans("backup", copies[1])
	if left := w.ids(); len(left) != 0 {
		t.Errorf("%v remain, although they were named", left)
	}
}

func TestRenamedMachineStaysInItsCluster(t *testing.T) {
	w := newWorld(t)
	ref := w.create("renamed", 2, client.CreateOptions{})
	w.awaitReady(ref)
	if err := w.cloud.RenameMachine("sky-renamed-1", "mine"); err != nil {
		t.Fatal(err)
	}
	before := w.ids()
	w.conflicting(ref, "sky-renamed-1")
	if after := w.ids(); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	if left := w.ids(); len(left) != 0 {
		t.Errorf("%v remain", left)
	}
}

func TestMachinesWithSwappedLabelsAreNotChanged(t *testing.T) {
	w := newWorld(t)
	ref := w.create("relabelled", 3, client.CreateOptions{})
	c := w.awaitReady(ref)
	for i, j := range map[int]int{1: 2, 2: 1} {
		if err := w.cloud.RelabelMachine(c.Status.Machines[i].Name, j, c.Status.Machines[j].Incarnation); err != nil {
			t.Fatal(err)
		}
		if err := w.cloud.StopUnit(c.Status.Machines[i].Name, "failed"); err != nil {
			t.Fatal(err)
		}
	}
	before := w.ids()
	r := w.sweep(ref.Name)
	if len(r.Drifted) != 1 || r.Drifted[0].Started != "" {
		t.Errorf("drifted %+v", r.Drifted)
	}
	err := w.acts.Machines.Terminate(t.Context(), machines.TerminateInput{Cluster: ref, Name: "sky-relabelled-1"})
	if reason, _ := reasonOf(err); reason != string(cloud.Conflict) || !strings.Contains(err.Error(), "not changed") {
		t.Errorf("terminate: %v", err)
	}
	if after := w.ids(); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestRecordWithoutIDGetsTheMatchingMachinesID(t *testing.T) {
	w := newWorld(t)
	ref := w.create("older", 2, client.CreateOptions{})
	want := w.awaitReady(ref).Status.Machines
	for i, m := range want {
		_, err := w.store.UpdateMachine(t.Context(), ref, i, m.Incarnation, func(r *api.Machine) error {
			r.CloudID = ""
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.copied("sky-older-1", "backup")
	w.sweep(ref.Name)
	got := w.get(ref).Status.Machines
	if got[0].CloudID != want[0].CloudID || got[1].CloudID != "" {
		t.Errorf("ids %q and %q, want %q and none, because a copy exists", got[0].CloudID, got[1].CloudID,
			want[0].CloudID)
	}
}

// conflictsOf returns the recorded conflicts, by the machines' ids.
func (w *world) conflictsOf() map[string]string {
	w.t.Helper()
	orphans, err := w.store.ListOrphans(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range orphans {
		found[o.ID] = o.Conflict
	}
	return found
}

// TestOriginalIsAnOrdinaryOrphanOnceItsCopyIsGone also starts from a record of the original in an earlier version.
func TestOriginalIsAnOrdinaryOrphanOnceItsCopyIsGone(t *testing.T) {
	w := newWorld(t)
	w.acts.Sweeps.OrphanGrace = time.Hour
	ref := w.create("original", 1, client.CreateOptions{})
	head := w.awaitReady(ref).Status.Machines[0]
	stale := api.Orphan{
		Cloud: head.Placement.Cloud, Name: head.Name, ID: head.CloudID, Cluster: ref.Name, ClusterUID: ref.UID,
		FirstSeen: time.Now().Add(-2 * time.Hour), Conflict: "it carries the same labels as a machine that is gone",
	}
	if err := w.store.AddOrphan(t.Context(), stale.Cloud, stale); err != nil {
		t.Fatal(err)
	}
	copied := w.copied(head.Name, "backup")
	w.sweep("")
	if found := w.conflictsOf(); len(found) != 1 || found[copied.ID] == "" {
		t.Errorf("while the copy exists: %v, want only the copy", found)
	}
	w.cloud.LoseMachine("backup")
	w.sweep("")
	w.forgetKeys("/clusters/" + ref.Name)
	begun := time.Now()
	r := w.orphans()
	if len(r.Orphans) != 1 {
		t.Fatalf("orphans %+v", r.Orphans)
	}
	if o := r.Orphans[0]; o.ID != head.CloudID || o.Conflict != "" || o.FirstSeen.Before(begun) ||
		o.TerminateAt.IsZero() {
		t.Errorf("orphan %+v", o)
	}
}

func TestRecordedOrphansConflictEndsWithItsCopy(t *testing.T) {
	w := newWorld(t)
	w.acts.Sweeps.OrphanGrace = time.Hour
	ref := w.create("forgotten", 1, client.CreateOptions{})
	head := w.awaitReady(ref).Status.Machines[0]
	copied := w.copied(head.Name, "backup")
	w.forgetKeys("/clusters/" + ref.Name)
	w.orphans()
	if found := w.conflictsOf(); len(found) != 2 || found[head.CloudID] == "" || found[copied.ID] == "" {
		t.Fatalf("want both, with the same labels: %v", found)
	}
	w.cloud.LoseMachine("backup")
	r := w.orphans()
	if len(r.Orphans) != 1 || r.Orphans[0].Conflict != "" || r.Orphans[0].TerminateAt.IsZero() {
		t.Errorf("orphans %+v", r.Orphans)
	}
}
