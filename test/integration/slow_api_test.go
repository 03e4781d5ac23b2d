package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/eventually"
)

// TestWorkersOutlastASlowHead has a head whose API takes longer than a worker may take to join.
func TestWorkersOutlastASlowHead(t *testing.T) {
	const head, worker, timeToJoin = "sky-slow-api-0", "sky-slow-api-1", 2 * time.Second
	t.Parallel()
	w := newIdleWorld(t, shared)
	w.acts.Nodes.Deadlines.Agent = timeToJoin
	w.work()
	w.cloud.SlowAPI(head)
	w.cloud.HoldAgent(worker)
	ref := w.create("slow-api", 2, client.CreateOptions{})
	var joining time.Time
	eventually.Holds(t, "the worker has waited for longer than its time", func() bool {
		c, err := w.store.ReadCluster(t.Context(), ref.Name)
		if err != nil || c.Status.Phase == api.PhaseError {
			t.Fatalf("%v, %+v", err, c.Status.Failure)
		}
		for _, m := range c.Status.Machines {
			if joining.IsZero() && m.Name == worker && strings.Contains(m.Step, "the head to accept the worker") {
				joining = time.Now()
			}
		}
		return !joining.IsZero() && time.Since(joining) > 2*timeToJoin
	})
	// In this order: once the API is ready, the worker has its time and no more.
	if err := w.cloud.ReleaseAgent(worker); err != nil {
		t.Fatal(err)
	}
	w.cloud.FinishAPI(head)
	if c := w.awaitReady(ref); c.Status.Machines[0].APIReadyAt.IsZero() {
		t.Error("the time at which the API was ready is not recorded")
	}
}

// TestWorkerThatNeverJoinsIsNotWaitedFor has a head that is ready at once.
func TestWorkerThatNeverJoinsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	w.acts.Nodes.Deadlines.Agent = 10 * time.Second // its journal is read meanwhile
	w.work()
	w.cloud.HoldAgent("sky-no-join-1")
	ref := w.create("no-join", 2, client.CreateOptions{})
	c := w.awaitFailed(ref)
	if f := c.Status.Failure; f == nil || f.Machine != "sky-no-join-1" || f.Step != "join the cluster" ||
		f.Reason != "Deadline" || !strings.Contains(f.Message, "the head to accept the worker") {
		t.Errorf("the failure is %+v", f)
	}
	if left := w.cloud.ExistingMachines("sky-no-join-"); len(left) > 0 {
		t.Errorf("machines remain: %+v", left)
	}
}
