package operations

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations/rehearsal"
)

func TestADeleteTakesOverFromARunningProvision(t *testing.T) {
	world.Work(t)
	running := make(chan struct{})
	world.Cast("early", rehearsal.Play{Provision: func(ctx context.Context, w *rehearsal.World, in api.ProvisionInput) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}})
	c := newClient(t)
	created, err := c.Create(t.Context(), wanted("early"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	<-running
	var told []string
	ref := created.Cluster.Ref()
	if err := c.Delete(t.Context(), ref, false, func(s string) { told = append(told, s) }); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), ref, patience, ignore); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "Provision") {
		t.Errorf("told %q", told)
	}
}

func TestADeleteJoinsTheOneThatRuns(t *testing.T) {
	world.Work(t)
	stored := store1(t, "twice", api.PhaseReady)
	release := make(chan struct{})
	runs := 0
	world.Cast("twice", rehearsal.Play{Delete: func(ctx context.Context, w *rehearsal.World, in api.DeleteInput) error {
		runs++
		<-release
		return w.Store.Delete(ctx, in.Cluster)
	}})
	c := newClient(t)
	for range 2 {
		if err := c.Delete(t.Context(), stored.Ref(), false, ignoreText); err != nil {
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

func TestADeleteThatFailsSaysWhyAndCanBeTriedAgain(t *testing.T) {
	world.Work(t)
	stored := store1(t, "stubborn", api.PhaseReady)
	world.Cast("stubborn", rehearsal.Play{Delete: func(context.Context, *rehearsal.World, api.DeleteInput) error {
		return errors.New("the cloud does not answer")
	}})
	c := newClient(t)
	if err := c.Delete(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore)
	var failed *FailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "the cloud does not answer") {
		t.Fatalf("got %v", err)
	}
	world.Cast("stubborn", rehearsal.Play{})
	if err := c.Delete(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore); err != nil {
		t.Error(err)
	}
}

func TestAPurgeReplacesADeleteThatHangs(t *testing.T) {
	world.Work(t)
	stored := store1(t, "lost", api.PhaseReady)
	var purged bool
	world.Cast("lost", rehearsal.Play{Delete: func(ctx context.Context, w *rehearsal.World, in api.DeleteInput) error {
		if purged = in.Purge; !in.Purge {
			<-ctx.Done()
			return ctx.Err()
		}
		return w.Store.Delete(ctx, in.Cluster)
	}})
	c := newClient(t)
	if err := c.Delete(t.Context(), stored.Ref(), false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), stored.Ref(), true, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), stored.Ref(), patience, ignore); err != nil || !purged {
		t.Errorf("purged %v, %v", purged, err)
	}
}

func TestADeleteOfWhatIsNotThereSaysSo(t *testing.T) {
	if err := newClient(t).Delete(t.Context(), api.Ref{Name: "nothing", UID: "u"}, false, ignoreText); !gone(err) {
		t.Errorf("got %v", err)
	}
}

func TestADeleteOfOneClusterNeverTouchesAnotherOfItsName(t *testing.T) {
	world.Work(t)
	store1(t, "renewed", api.PhaseReady)
	seen := api.Ref{Name: "renewed", UID: "uid-of-the-one-before"}
	var replaced *ReplacedError
	if err := newClient(t).Delete(t.Context(), seen, false, ignoreText); !errors.As(err, &replaced) {
		t.Errorf("got %v", err)
	}
	if phase := phaseOf(t, "renewed"); phase != api.PhaseReady {
		t.Errorf("the other one is %s", phase)
	}
}

func TestADeleteThatWaitsLeavesTheProvisionOfASuccessorAlone(t *testing.T) {
	world.Work(t)
	stored := store1(t, "handed", api.PhaseReady)
	c := newClient(t)
	s, tc, err := c.both(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := world.Store.Delete(t.Context(), stored.Ref()); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Store.Create(t.Context(), api.NewCluster("handed", "uid-next", stored.Spec, nil, stored.Metadata.CreatedAt)); err != nil {
		t.Fatal(err)
	}
	d := deletion{Client: c, store: s, temporal: tc, ref: stored.Ref(), notice: func(s string) { t.Errorf("it made way: %s", s) }, lonely: c.loneliness()}
	if done, err := d.attempt(t.Context()); !done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	if r, err := c.run(t.Context(), tc, "handed"); err != nil || r != (run{}) {
		t.Errorf("it started %+v, %v", r, err)
	}
}

func TestADeleteWithoutAWorkerLeavesTheWishAndSaysSo(t *testing.T) {
	stored := store1(t, "waiting", api.PhaseProvisioning)
	c := newClient(t)
	c.cfg.Temporal.TaskQueue = "empty"
	_, tc, err := c.both(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.start(t.Context(), tc, "waiting", api.WorkflowProvision, "", api.ProvisionInput{Cluster: stored.Ref()}); err != nil {
		t.Fatal(err)
	}
	c.now = fastClock()
	err = c.Delete(t.Context(), stored.Ref(), false, ignoreText)
	var none *NoWorkerError
	if !errors.As(err, &none) || none.Left == "" {
		t.Errorf("got %v", err)
	}
	if phaseOf(t, "waiting") != api.PhaseDeleting {
		t.Error("etcd does not say that it is to go")
	}
}
