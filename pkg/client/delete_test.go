package client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestDeleteTakesOverFromARunningProvision(t *testing.T) {
	world.StartWorker(t)
	running := make(chan struct{})
	world.SetBehavior("early", skydstub.Behavior{Provision: func(ctx context.Context, _ *skydstub.World,
		_ operation.ProvisionInput) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}})
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("early"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	<-running
	var notices []string
	ref := created.Cluster.Ref()
	if err := c.DeleteCluster(t.Context(), ref, false, func(s string) { notices = append(notices, s) }); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), ref, patience, ignore); err != nil {
		t.Fatal(err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "Provision") {
		t.Errorf("notices %q", notices)
	}
}

func TestDeleteJoinsARunningDelete(t *testing.T) {
	world.StartWorker(t)
	stored := storeCluster(t, "twice", api.PhaseReady)
	release := make(chan struct{})
	runs := 0
	world.SetBehavior("twice", skydstub.Behavior{Delete: func(ctx context.Context, w *skydstub.World,
		in operation.DeleteInput) error {
		runs++
		<-release
		return w.Store.DeleteCluster(ctx, in.Cluster)
	}})
	c := newClient(t)
	for range 2 {
		if err := c.DeleteCluster(t.Context(), stored.Ref(), false, ignoreText); err != nil {
			t.Fatal(err)
		}
	}
	if phaseOf(t, "twice") != api.PhaseDeleting {
		t.Error("etcd does not say that it is to go")
	}
	close(release)
	if err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore); err != nil || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestFailedDeleteReportsWhyAndCanBeRetried(t *testing.T) {
	world.StartWorker(t)
	stored := storeCluster(t, "stubborn", api.PhaseReady)
	world.SetBehavior("stubborn", skydstub.Behavior{Delete: func(context.Context, *skydstub.World,
		operation.DeleteInput) error {
		return errors.New("the cloud does not answer")
	}})
	c := newClient(t)
	if err := c.DeleteCluster(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore)
	var failed *OperationFailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "the cloud does not answer") {
		t.Fatalf("got %v", err)
	}
	world.SetBehavior("stubborn", skydstub.Behavior{})
	if err := c.DeleteCluster(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore); err != nil {
		t.Error(err)
	}
}

func TestPurgeReplacesAHangingDelete(t *testing.T) {
	world.StartWorker(t)
	stored := storeCluster(t, "lost", api.PhaseReady)
	var purged atomic.Bool
	world.SetBehavior("lost", skydstub.Behavior{Delete: func(ctx context.Context, w *skydstub.World,
		in operation.DeleteInput) error {
		if !in.Purge {
			<-ctx.Done()
			return ctx.Err()
		}
		purged.Store(true)
		return w.Store.DeleteCluster(ctx, in.Cluster)
	}})
	c := newClient(t)
	if err := c.DeleteCluster(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteCluster(t.Context(), stored.Ref(), true, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore); err != nil || !purged.Load() {
		t.Errorf("purged %v, %v", purged.Load(), err)
	}
}

func TestDeleteOfAMissingClusterReportsIt(t *testing.T) {
	if err := newClient(t).DeleteCluster(t.Context(), api.Ref{Name: "nothing", UID: "u"}, false,
		ignoreText); !isClusterMissing(err) {
		t.Errorf("got %v", err)
	}
}

func TestDeleteDoesNotTouchAnotherClusterOfItsName(t *testing.T) {
	world.StartWorker(t)
	storeCluster(t, "renewed", api.PhaseReady)
	seen := api.Ref{Name: "renewed", UID: "uid-of-the-one-before"}
	var replaced *ClusterReplacedError
	if err := newClient(t).DeleteCluster(t.Context(), seen, false, ignoreText); !errors.As(err, &replaced) {
		t.Errorf("got %v", err)
	}
	if phase := phaseOf(t, "renewed"); phase != api.PhaseReady {
		t.Errorf("the other cluster is %s", phase)
	}
}

func TestWaitingDeleteDoesNotTouchASuccessorsProvision(t *testing.T) {
	world.StartWorker(t)
	stored := storeCluster(t, "handed", api.PhaseReady)
	c := newClient(t)
	s, tc, err := c.connectServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := world.Store.DeleteCluster(t.Context(), stored.Ref()); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Store.CreateCluster(t.Context(),
		api.NewCluster("handed", "uid-next", stored.Spec.CreateRequest(), nil, stored.Metadata.CreatedAt)); err != nil {
		t.Fatal(err)
	}
	d := deleteRequest{Client: c, store: s, temporal: tc, ref: stored.Ref(),
		notice: func(s string) { t.Errorf("notice: %s", s) }, checkWorker: c.newWorkerCheck()}
	if done, err := d.tryStartDelete(t.Context()); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	if r, err := c.readLatestRun(t.Context(), tc, "handed"); err != nil || r != (operationRun{}) {
		t.Errorf("it started %+v, %v", r, err)
	}
}

func TestDeleteWithoutAWorkerIsRecordedAndReported(t *testing.T) {
	stored := storeCluster(t, "waiting", api.PhaseProvisioning)
	c := newClient(t)
	c.cfg.Temporal.TaskQueue = "empty"
	_, tc, err := c.connectServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.startOperation(t.Context(), tc, "waiting", operation.WorkflowProvision, "",
		operation.ProvisionInput{Cluster: stored.Ref()}); err != nil {
		t.Fatal(err)
	}
	c.now = fastClock()
	err = c.DeleteCluster(t.Context(), stored.Ref(), false, ignoreText)
	var none *NoWorkerError
	if !errors.As(err, &none) || none.Consequence == "" {
		t.Errorf("got %v", err)
	}
	if phaseOf(t, "waiting") != api.PhaseDeleting {
		t.Error("etcd does not say that it is to go")
	}
}
