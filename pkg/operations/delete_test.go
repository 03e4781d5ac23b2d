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
	ref, err := c.Delete(t.Context(), "early", false, func(s string) { told = append(told, s) })
	if err != nil || ref != refOf(created.Cluster) {
		t.Fatalf("%v, %v", ref, err)
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
		if _, err := c.Delete(t.Context(), "twice", false, ignoreText); err != nil {
			t.Fatal(err)
		}
	}
	if phaseOf(t, "twice") != api.PhaseDeleting {
		t.Error("etcd does not say that it is to go")
	}
	close(release)
	if err := c.AwaitGone(t.Context(), refOf(stored), patience, ignore); err != nil || runs != 1 {
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
	if _, err := c.Delete(t.Context(), "stubborn", false, ignoreText); err != nil {
		t.Fatal(err)
	}
	err := c.AwaitGone(t.Context(), refOf(stored), patience, ignore)
	var failed *FailedError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "the cloud does not answer") {
		t.Fatalf("got %v", err)
	}
	world.Cast("stubborn", rehearsal.Play{})
	if _, err := c.Delete(t.Context(), "stubborn", false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), refOf(stored), patience, ignore); err != nil {
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
	if _, err := c.Delete(t.Context(), "lost", false, ignoreText); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), "lost", true, ignoreText); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitGone(t.Context(), refOf(stored), patience, ignore); err != nil || !purged {
		t.Errorf("purged %v, %v", purged, err)
	}
}

func TestADeleteOfWhatIsNotThereSaysSo(t *testing.T) {
	if _, err := newClient(t).Delete(t.Context(), "nothing", false, ignoreText); !gone(err) {
		t.Errorf("got %v", err)
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
	if err := c.start(t.Context(), tc, "waiting", api.WorkflowProvision, "", api.ProvisionInput{Cluster: refOf(stored)}); err != nil {
		t.Fatal(err)
	}
	c.now = fastClock()
	_, err = c.Delete(t.Context(), "waiting", false, ignoreText)
	var none *NoWorkerError
	if !errors.As(err, &none) || none.Left == "" {
		t.Errorf("got %v", err)
	}
	if phaseOf(t, "waiting") != api.PhaseDeleting {
		t.Error("etcd does not say that it is to go")
	}
}
