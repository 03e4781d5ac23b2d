package integration

import (
	"context"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/simcloud"
)

func TestMachineTerminatedByItsCloudIsRelaunched(t *testing.T) {
	w := newWorld(t)
	prepared := func(ctx context.Context) bool {
		c, err := w.store.ReadCluster(ctx, "taken")
		return err == nil && len(c.Status.Machines) == 2 && c.Status.Machines[1].State == api.MachinePrepared
	}
	// The cloud terminates the worker while it waits for its head.
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-taken-0", Times: 1,
		Do: func(ctx context.Context) error {
			for !prepared(ctx) {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(10 * time.Millisecond): // between two checks
				}
			}
			w.cloud.LoseMachine("sky-taken-1")
			return nil
		}})
	ref := w.create("taken", 2, client.CreateOptions{})
	c := w.awaitReady(ref)
	if head, worker := w.cloud.CountLaunches("sky-taken-0", ""), w.cloud.CountLaunches("sky-taken-1", ""); head != 1 ||
		worker != 2 {
		t.Errorf("the head was launched %d times and the worker %d times, want 1 and 2", head, worker)
	}
	if len(c.Status.Attempts) > 0 || len(w.cloud.ExistingMachines("sky-taken-")) != 2 {
		t.Errorf("attempts %+v, machines %+v", c.Status.Attempts, w.cloud.ExistingMachines("sky-taken-"))
	}
	w.keep("provision-taken", w.closed(ref.Name)[0])
}
