package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestCreateReturnsAfterTheOperationStarted(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("fresh"), CreateOptions{KeepOnFailure: true})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := world.Store.ReadCluster(t.Context(), "fresh")
	if err != nil {
		t.Fatal(err)
	}
	if stored.Metadata.UID == "" || stored.Metadata.UID != created.Cluster.Metadata.UID ||
		!stored.Status.KeepOnFailure || created.Resumed {
		t.Errorf("stored %+v\ncreated %+v", stored, created)
	}
	ready, err := c.AwaitReady(t.Context(), stored.Ref(), patience, ignore)
	if err != nil || ready.Status.Phase != api.PhaseReady || len(ready.Status.Machines) != 3 {
		t.Errorf("%+v, %v", ready, err)
	}
	kc, err := c.ReadKubeconfig(t.Context(), stored.Ref())
	if err != nil || !bytes.Equal(kc, skydstub.NewKubeconfig("fresh")) {
		t.Errorf("kubeconfig %q, %v", kc, err)
	}
}

func TestCloudRefusalIsBadInputAndWritesNothing(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("nowhere", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Invalid: []api.FieldError{{Field: "region", Value: "nowhere",
			Want: "docker has only local"}, {Field: "cpus", Value: "2+", Want: "at most 1"}}}, nil
	}})
	want := newWantedCluster("refused")
	want.Spec.Region = "nowhere"
	_, err := newClient(t).CreateCluster(t.Context(), want, CreateOptions{})
	if fields := api.FieldErrorsOf(err); len(fields) != 2 || fields[0].Field != "region" {
		t.Errorf("got %v", err)
	}
	if _, err := world.Store.ReadCluster(t.Context(), "refused"); !isClusterMissing(err) {
		t.Errorf("the cluster was written: %v", err)
	}
}

func TestFailedPlanHidesTemporalsWording(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("broken", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{}, errors.New("the Docker engine does not answer")
	}})
	_, err := newClient(t).PlanCluster(t.Context(), api.NewClusterSpec(api.GroupSpec{Region: "broken"}), nil)
	if err == nil || err.Error() != "the Docker engine does not answer" {
		t.Errorf("got %v", err)
	}
}

func TestSameCreateResumesAfterError(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("again", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "join", Machine: "sky-again-1", Reason: "Timeout",
			Message: "the agent did not come up"})
	}})
	c := newClient(t)
	first, err := c.CreateCluster(t.Context(), newWantedCluster("again"), CreateOptions{KeepOnFailure: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AwaitReady(t.Context(), first.Cluster.Ref(), patience, ignore)
	var failed *OperationFailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(),
		"join on sky-again-1: Timeout: the agent did not come up") {
		t.Fatalf("got %v", err)
	}
	world.SetBehavior("again", skydstub.Behavior{})
	second, err := c.CreateCluster(t.Context(), newWantedCluster("again"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !second.Resumed || second.Cluster.Metadata.UID != first.Cluster.Metadata.UID ||
		second.Cluster.Status.KeepOnFailure {
		t.Errorf("the second create: %+v", second)
	}
	if _, err := c.AwaitReady(t.Context(), second.Cluster.Ref(), patience, ignore); err != nil {
		t.Error(err)
	}
}

func TestResumedCreateOfAnOlderClusterRecordsItsRelease(t *testing.T) {
	world.StartWorker(t)
	storeCluster(t, "before", api.PhaseInit)
	want := newWantedCluster("before")
	want.Spec.KubernetesVersion = "v1.34.1+rke2r1"
	created, err := newClient(t).CreateCluster(t.Context(), want, CreateOptions{})
	if err != nil || !created.Resumed || created.Cluster.Spec.KubernetesVersion != want.Spec.KubernetesVersion {
		t.Errorf("%+v, %v", created, err)
	}
	eventually.Holds(t, "READY", func() bool { return phaseOf(t, "before") == api.PhaseReady })
}

func TestSameCreateResumesAnIdleInitCluster(t *testing.T) {
	world.StartWorker(t)
	stored := storeCluster(t, "orphan", api.PhaseInit)
	created, err := newClient(t).CreateCluster(t.Context(), newWantedCluster("orphan"), CreateOptions{})
	if err != nil || !created.Resumed || created.Cluster.Metadata.UID != stored.Metadata.UID {
		t.Errorf("%+v, %v", created, err)
	}
	eventually.Holds(t, "READY", func() bool { return phaseOf(t, "orphan") == api.PhaseReady })
}

func TestResumedCreateKeepsLabelsThatItDoesNotName(t *testing.T) {
	world.StartWorker(t)
	for name, asked := range map[string]map[string]string{"labels-kept": nil, "labels-set": {"team": "web"}} {
		stored := storeCluster(t, name, api.PhaseInit)
		if _, err := world.Store.UpdateCluster(t.Context(), stored.Ref(), func(c *api.Cluster) error {
			c.Metadata.Labels = map[string]string{"team": "vision"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := newWantedCluster(name)
		want.Metadata.Labels = asked
		created, err := newClient(t).CreateCluster(t.Context(), want, CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, generation := created.Cluster.Metadata, stored.Metadata.Generation
		if kept := asked == nil; kept && (got.Labels["team"] != "vision" || got.Generation != generation) ||
			!kept && (got.Labels["team"] != "web" || got.Generation != generation+1) {
			t.Errorf("%s: %+v", name, got)
		}
		eventually.Holds(t, "READY", func() bool { return phaseOf(t, name) == api.PhaseReady })
	}
}

// storeCluster stores a cluster in a phase.
func storeCluster(t *testing.T, name string, phase api.Phase) *api.Cluster {
	t.Helper()
	t.Cleanup(func() { world.ClearState(t) })
	c := api.NewCluster(name, "uid-"+name, newWantedCluster(name).Spec.CreateRequest(), nil, time.Now())
	c.Status.SetPhase(phase, "", time.Now())
	stored, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestCreateOfAnExistingClusterReportsItsStatus(t *testing.T) {
	world.StartWorker(t)
	storeCluster(t, "there", api.PhaseReady)
	storeCluster(t, "leaving", api.PhaseDeleting)
	storeCluster(t, "asleep", api.PhaseStopped)
	world.SetBehavior("busy", skydstub.Behavior{Provision: func(ctx context.Context, _ *skydstub.World,
		_ operation.ProvisionInput) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	c := newClient(t)
	if _, err := c.CreateCluster(t.Context(), newWantedCluster("busy"), CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	other := newWantedCluster("there")
	request := other.Spec.CreateRequest()
	request.CPUs, request.NumNodes = "4", 5
	other.Spec = api.NewClusterSpec(request)
	for _, tt := range []struct {
		want *api.Cluster
		says []string
	}{
		{newWantedCluster("there"), []string{"exists", "READY"}},
		{newWantedCluster("leaving"), []string{"DELETING"}},
		{newWantedCluster("asleep"), []string{"STOPPED", "skyctl start cluster asleep"}},
		{newWantedCluster("busy"), []string{"is being created already (INIT)", "--wait"}},
		{other, []string{"exists (READY) with another spec", "cpus is 2+, requested is 4",
			"num_nodes is 3, requested is 5"}},
	} {
		_, err := c.CreateCluster(t.Context(), tt.want, CreateOptions{})
		var conflict *ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("%s: got %v", tt.want.Metadata.Name, err)
			continue
		}
		for _, s := range tt.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q lacks %q", tt.want.Metadata.Name, err, s)
			}
		}
	}
}

func TestCreateWaitsForAFinishingDeleteOfItsName(t *testing.T) {
	world.StartWorker(t)
	old := storeCluster(t, "reborn", api.PhaseReady)
	closing := make(chan struct{})
	world.SetBehavior("reborn", skydstub.Behavior{Delete: func(ctx context.Context, w *skydstub.World,
		in operation.DeleteInput) error {
		err := w.Store.DeleteCluster(ctx, in.Cluster)
		<-closing
		return err
	}})
	c := newClient(t)
	if err := c.DeleteCluster(t.Context(), old.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the old one is forgotten",
		func() bool { _, err := world.Store.ReadCluster(t.Context(), "reborn"); return isClusterMissing(err) })
	time.AfterFunc(300*time.Millisecond, func() { close(closing) })
	created, err := c.CreateCluster(t.Context(), newWantedCluster("reborn"), CreateOptions{})
	if err != nil || created.Cluster.Metadata.UID == old.Metadata.UID {
		t.Fatalf("%+v, %v", created, err)
	}
	if _, err := c.AwaitReady(t.Context(), created.Cluster.Ref(), patience, ignore); err != nil {
		t.Error(err)
	}
}

func TestWaitNoticesAnOperationThatEndedSilently(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("mute", skydstub.Behavior{Provision: func(context.Context, *skydstub.World,
		operation.ProvisionInput) error {
		return errors.New("out of luck")
	}})
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("mute"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.AwaitReady(t.Context(), created.Cluster.Ref(), patience, ignore)
	var failed *OperationFailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v", err)
	}
}

func TestPlanWithoutAWorkerNamesTheTaskQueue(t *testing.T) {
	c := newClient(t)
	c.cfg.Temporal.TaskQueue = "deserted"
	c.now = fastClock()
	_, err := c.CreateCluster(t.Context(), newWantedCluster("lonely"), CreateOptions{})
	var none *NoWorkerError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "task queue deserted") {
		t.Errorf("got %v", err)
	}
	if _, err := world.Store.ReadCluster(t.Context(), "lonely"); !isClusterMissing(err) {
		t.Errorf("the cluster was written: %v", err)
	}
}

func TestWaitReportsAMissingWorkerAndContinues(t *testing.T) {
	c := newClient(t)
	c.cfg.Temporal.TaskQueue = "later-" + rand.Text() // Temporal remembers the workers of a queue for a while
	stored := storeCluster(t, "patient", api.PhaseInit)
	_, tc, err := c.connectServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: operation.WorkflowID("patient"),
		TaskQueue: c.cfg.Temporal.TaskQueue},
		operation.WorkflowProvision, operation.ProvisionInput{Cluster: stored.Ref()})
	if err != nil {
		t.Fatal(err)
	}
	var notices lockedbuffer.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := c.AwaitReady(t.Context(), stored.Ref(), 0, func(p Progress) { fmt.Fprintln(&notices, p.Notice) })
		done <- err
	}()
	eventually.Holds(t, "the notice", func() bool {
		return strings.Contains(notices.String(), "no worker is listening on task queue "+c.cfg.Temporal.TaskQueue)
	})
	world.StartWorkerOn(t, c.cfg.Temporal.TaskQueue)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitTimeoutLeavesTheOperationRunning(t *testing.T) {
	stored := storeCluster(t, "slow", api.PhaseProvisioning)
	c := newClient(t)
	c.checkEvery = time.Hour
	_, err := c.AwaitReady(t.Context(), stored.Ref(), 50*time.Millisecond, ignore)
	var wait *WaitTimeoutError
	if !errors.As(err, &wait) {
		t.Errorf("got %v", err)
	}
}

func TestUnreachableServerIsNamedAndNothingIsWritten(t *testing.T) {
	c := newClient(t)
	c.cfg.Temporal.Address = "127.0.0.1:1"
	_, err := c.CreateCluster(t.Context(), newWantedCluster("halfway"), CreateOptions{})
	var down *UnreachableError
	if !errors.As(err, &down) || !strings.HasPrefix(err.Error(), "Temporal at 127.0.0.1:1 ") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err := world.Store.ReadCluster(t.Context(), "halfway"); !isClusterMissing(err) {
		t.Errorf("the cluster was written: %v", err)
	}
	c = newClient(t)
	c.cfg.Etcd.Endpoints = []string{"https://127.0.0.1:1"}
	_, err = c.CreateCluster(t.Context(), newWantedCluster("halfway"), CreateOptions{})
	var silent *store.UnavailableError
	if !errors.As(err, &silent) || !strings.Contains(err.Error(), "etcd at https://127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

// fastClock advances by a minute with each call.
func fastClock() func() time.Time {
	now := time.Now()
	return func() time.Time { now = now.Add(time.Minute); return now }
}

func TestWaitReturnsTheClusterIfTheCheckSeesItFirst(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("checked"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "READY", func() bool { return phaseOf(t, "checked") == api.PhaseReady })
	eventually.Holds(t, "the run is closed", func() bool {
		r, err := c.readLatestRun(t.Context(), c.temporal, "checked")
		return err == nil && !r.open
	})
	v := c.checkOperation(t.Context(), created.Cluster.Ref(),
		waitGoal{judge: func(cl *api.Cluster) (bool, error) { return cl.Status.Phase == api.PhaseReady, nil }})
	if !v.done || v.err != nil || v.cluster.Status.Phase != api.PhaseReady {
		t.Errorf("got %+v", v)
	}
}

func TestOperationsCanBeListedByClusterAndKind(t *testing.T) {
	world.StartWorker(t)
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("listed"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AwaitReady(t.Context(), created.Cluster.Ref(), patience, ignore); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteCluster(t.Context(), created.Cluster.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{operation.WorkflowProvision, operation.WorkflowDelete} {
		eventually.Holds(t, operation+" is listed", func() bool {
			n, err := world.Temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: world.Config.Temporal.Namespace,
				Query:     fmt.Sprintf("ClusterName = 'listed' AND Operation = '%s'", operation),
			})
			return err == nil && n.GetCount() == 1
		})
	}
}

// A team's Temporal may not have them yet; the end-to-end test of a team sees that in its first minute.
func TestOperationStartsWithoutMissingSearchAttributes(t *testing.T) {
	c := newClient(t)
	tc, err := c.ConnectTemporal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lacking := temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword("Lacking").ValueSet("x"))
	if err := start.WithOptions(t.Context(), tc,
		client.StartWorkflowOptions{ID: "lacking", TaskQueue: "none",
			TypedSearchAttributes: lacking}, operation.WorkflowPlan, operation.PlanInput{}); err != nil {
		t.Errorf("not started without them: %v", err)
	}
	err = start.WithOptions(t.Context(), tc, client.StartWorkflowOptions{ID: strings.Repeat("x", 2000),
		TaskQueue: "none"}, operation.WorkflowPlan, operation.PlanInput{})
	if err == nil {
		t.Error("an id that is too long was accepted")
	}
}
