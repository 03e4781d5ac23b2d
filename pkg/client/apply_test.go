package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// newDocument returns a document for a cluster, with a pool of so many replicas and further lines below it.
func newDocument(t *testing.T, name string, replicas int, more ...string) manifest.Document {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: %s
kind: Cluster
metadata:
  name: %s
  labels: {team: vision}
spec:
  cloud: docker
  region: %[2]s
  pools:
  - name: default
    replicas: %[3]d
%s`, api.APIVersion, name, replicas, strings.Join(more, "\n"))
	docs, err := manifest.Parse(name+".yaml", []byte(text))
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return docs[0]
}

// planOne plans one document.
func planOne(t *testing.T, c *Client, doc manifest.Document) (ApplyPlan, error) {
	t.Helper()
	plans, err := c.PlanApply(t.Context(), []manifest.Document{doc}, PlanOptions{})
	if len(plans) != 1 {
		t.Fatalf("%d plans: %v", len(plans), err)
	}
	return plans[0], err
}

// applyOne plans and applies one document, which has to succeed, and waits until the cluster is at rest.
func applyOne(t *testing.T, c *Client, doc manifest.Document) ApplyResult {
	t.Helper()
	p, err := planOne(t, c, doc)
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "at rest", func() bool {
		stored, err := world.Store.ReadCluster(t.Context(), doc.Name)
		return err == nil && stored.Status.Phase == api.PhaseReady && stored.Status.Operation == nil &&
			stored.Status.ObservedGeneration == stored.Metadata.Generation && !latestRunOf(t, c, doc.Name).open
	})
	return result
}

func revisionOf(t *testing.T, name string) int64 {
	t.Helper()
	c, err := world.Store.ReadCluster(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Metadata.Revision
}

func TestSecondApplyWritesNothingAndStartsNothing(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	doc := newDocument(t, "twice", 2)
	if got := applyOne(t, c, doc); got.Kind != ApplyCreate || !got.Cluster.Metadata.CreatedByApply {
		t.Errorf("the first apply: %+v", got)
	}
	before, run := revisionOf(t, "twice"), latestRunOf(t, c, "twice")
	if got := applyOne(t, c, doc); got.Kind != ApplySame {
		t.Errorf("the second apply: %+v", got)
	}
	if after := revisionOf(t, "twice"); after != before || latestRunOf(t, c, "twice") != run {
		t.Errorf("revision %d, then %d; run %v", before, after, latestRunOf(t, c, "twice"))
	}
}

func latestRunOf(t *testing.T, c *Client, name string) operationRun {
	t.Helper()
	_, temporal, err := c.connectServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.readLatestRun(t.Context(), temporal, name)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestApplyMergesWithWhatOthersChanged(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	applyOne(t, c, newDocument(t, "three", 2))
	seen, err := world.Store.ReadCluster(t.Context(), "three")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ChangeSpec(t.Context(), seen, func(cl *api.Cluster) error {
		cl.Spec.Pools[0].MaxUnavailable = 2 // no file says anything of it
		return cl.Spec.ScalePool("default", 4)
	}); err != nil {
		t.Fatal(err)
	}
	p, err := planOne(t, c, newDocument(t, "three", 3, "    drain_timeout: 5m"))
	if err != nil || len(p.Differences) != 2 {
		t.Fatalf("%v: %+v", err, p.Differences)
	}
	if d := p.Differences[0]; d.Path != "spec.pools[default].replicas" || d.Before != "4" || d.After != "3" ||
		!d.ChangedSince || d.LastApplied != "2" {
		t.Errorf("%+v", d)
	}
	if d := p.Differences[1]; d.ChangedSince || d.Before != "" || d.After != "5m0s" && d.After != "5m" {
		t.Errorf("%+v", d)
	}
	if got := applyOne(t, c, newDocument(t, "three", 3)); got.Kind != ApplyChange ||
		got.Cluster.Spec.Pools[0].MaxUnavailable != 2 || got.Cluster.Spec.Pools[0].Replicas != 3 {
		t.Errorf("%+v", got.Cluster.Spec.Pools)
	}
}

func TestDiffRemembersOnlyReplicasThatAFileGave(t *testing.T) {
	for file, want := range map[string]string{
		`{"cloud":"docker","pools":[{"name":"default"}]}`:              "",
		`{"cloud":"docker","pools":[{"name":"default","replicas":2}]}`: "2",
	} {
		p := ApplyPlan{Name: "x", Before: &api.Cluster{}}
		p.Before.Metadata = api.Metadata{Name: "x", LastApplied: `{"spec":` + file + `}`}
		p.Before.Spec = api.ClusterSpec{Cloud: "docker", Pools: []api.Pool{{Name: "default", Replicas: 4}}}
		p.Before.Spec.SetDefaults()
		p.After = &api.Cluster{Metadata: p.Before.Metadata, Spec: p.Before.Spec.Clone()}
		p.After.Spec.Pools[0].Replicas = 3
		got := p.findDifferences()
		if len(got) != 1 || got[0].LastApplied != want || got[0].ChangedSince != (want != "") {
			t.Errorf("after %s: %+v", file, got)
		}
	}
}

func TestApplySaysWhatChangedMeanwhile(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	applyOne(t, c, newDocument(t, "raced", 2))
	mine, err := planOne(t, c, newDocument(t, "raced", 5))
	if err != nil {
		t.Fatal(err)
	}
	again, err := planOne(t, c, newDocument(t, "raced", 3))
	if err != nil {
		t.Fatal(err)
	}
	applyOne(t, c, newDocument(t, "raced", 3))
	before := revisionOf(t, "raced")
	_, err = c.Apply(t.Context(), mine)
	var conflict *ApplyConflictError
	if !errors.As(err, &conflict) || !strings.Contains(err.Error(), "spec.pools[default].replicas: 2 -> 3") {
		t.Errorf("got %v", err)
	}
	if got, err := c.Apply(t.Context(), again); err != nil || got.Kind != ApplySame {
		t.Errorf("the same change of two people: %+v, %v", got, err)
	}
	if revisionOf(t, "raced") != before {
		t.Error("a conflict wrote something")
	}
}

func TestAllDocumentsAreCheckedBeforeAnyIsWritten(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("strict", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Invalid: []api.FieldError{{Field: "region", Value: "strict", Want: "local"}}}, nil
	}})
	c := newClient(t)
	applyOne(t, c, newDocument(t, "fixed", 1))
	fixed := newDocument(t, "fixed", 1, "  ports: ['80']")
	docs := []manifest.Document{newDocument(t, "fine", 1), fixed, newDocument(t, "strict", 1)}
	plans, err := c.PlanApply(t.Context(), docs, PlanOptions{})
	if err == nil || len(plans) != 3 || !strings.Contains(err.Error(), "fixed.yaml:12:") ||
		!strings.Contains(err.Error(), "spec.ports") {
		t.Errorf("a field that never changes: %v", err)
	}
	_, err = c.PlanApply(t.Context(), []manifest.Document{docs[0], docs[2]}, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "strict.yaml:8:11: spec.region") {
		t.Errorf("a cloud that refuses: %v", err)
	}
	_, err = c.PlanApply(t.Context(), []manifest.Document{docs[0], docs[0]}, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), "fine.yaml:4:") {
		t.Errorf("a cluster twice: %v", err)
	}
	tooLong := newDocument(t, strings.Repeat("a", api.MaxNameLength+1), 1) // clusters of older versions may have it
	_, err = c.PlanApply(t.Context(), []manifest.Document{docs[0], tooLong}, PlanOptions{})
	if err == nil || !strings.Contains(err.Error(), ".yaml:4:9: metadata.name") {
		t.Errorf("a name that is too long: %v", err)
	}
	if _, err := world.Store.ReadCluster(t.Context(), "fine"); !isClusterMissing(err) {
		t.Errorf("a plan wrote: %v", err)
	}
}

func TestSameApplyResumesAFailedCreate(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("half", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "join", Reason: "Timeout", Message: "no answer"})
	}})
	c := newClient(t)
	doc := newDocument(t, "half", 1, "  - name: big", "    machine: {cpus: 8+}")
	p, err := planOne(t, c, doc)
	if err != nil || p.Kind != ApplyCreate {
		t.Fatalf("%v: %+v", err, p)
	}
	first, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "ERROR", func() bool { return phaseOf(t, "half") == api.PhaseError })
	_, err = planOne(t, c, newDocument(t, "half", 4))
	if err == nil || !strings.Contains(err.Error(), "its create failed") {
		t.Errorf("another spec: %v", err)
	}
	world.SetBehavior("half", skydstub.Behavior{})
	second := applyOne(t, c, doc)
	if second.Kind != ApplyResume || second.Cluster.Metadata.UID != first.Cluster.Metadata.UID {
		t.Errorf("%+v", second)
	}
}

// A skyctl that is killed between its write to etcd and its call of Temporal leaves such a cluster.
func TestSameApplyStartsWhatAKilledOneRecorded(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	doc := newDocument(t, "killed", 1)
	p, err := planOne(t, c, doc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := world.Store.CreateCluster(t.Context(), c.newStoredCluster(p.After)); err != nil {
		t.Fatal(err)
	}
	if got := applyOne(t, c, doc); got.Kind != ApplyResume {
		t.Errorf("%+v", got)
	}
	stored, err := world.Store.ReadCluster(t.Context(), "killed")
	if err != nil {
		t.Fatal(err)
	}
	more := newDocument(t, "killed", 3)
	if _, err := world.Store.UpdateSpec(t.Context(), stored.Ref(), stored.Metadata.Generation,
		func(cl *api.Cluster) error {
			cl.Metadata.LastApplied = more.LastApplied()
			return cl.Spec.ScalePool("default", 3)
		}); err != nil {
		t.Fatal(err)
	}
	if got := applyOne(t, c, more); got.Kind != ApplySame {
		t.Errorf("%+v", got)
	}
}

func TestApplyThatOnlyOwnsMoreRecordsIt(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	applyOne(t, c, newDocument(t, "owned", 1))
	before, err := world.Store.ReadCluster(t.Context(), "owned")
	if err != nil {
		t.Fatal(err)
	}
	if got := applyOne(t, c, newDocument(t, "owned", 1, "    min_replicas: 0")); got.Kind != ApplySame {
		t.Errorf("%+v", got)
	}
	after, err := world.Store.ReadCluster(t.Context(), "owned")
	if err != nil || after.Metadata.Generation != before.Metadata.Generation ||
		after.Metadata.LastApplied == before.Metadata.LastApplied {
		t.Errorf("%v: %+v, then %+v", err, before.Metadata, after.Metadata)
	}
}

// TestApplyConflictsWithAnotherFileThatChangedNothing: what that file has set would no longer be known as its own.
func TestApplyConflictsWithAnotherFileThatChangedNothing(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	applyOne(t, c, newDocument(t, "shared", 1))
	mine, err := planOne(t, c, newDocument(t, "shared", 2))
	if err != nil {
		t.Fatal(err)
	}
	applyOne(t, c, newDocument(t, "shared", 1, "    min_replicas: 0"))
	before := revisionOf(t, "shared")
	if _, err := c.Apply(t.Context(), mine); !errors.As(err, new(*ApplyConflictError)) {
		t.Errorf("got %v", err)
	}
	if revisionOf(t, "shared") != before {
		t.Error("a conflict wrote something")
	}
}
