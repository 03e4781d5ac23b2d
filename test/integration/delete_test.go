package integration

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

func TestDeleteTakesOverARunningCreateAndLeavesNothing(t *testing.T) {
	for name, at := range map[string]simcloud.Fault{
		"plan":   {Op: simcloud.OpPlan, Hang: true},
		"submit": {Op: simcloud.OpSubmit, Machine: "sky-takeover-submit-1", Hang: true},
		"await":  {Op: simcloud.OpAwait, Machine: "sky-takeover-await-0", Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cluster := "takeover-" + name
			ref := w.store1(cluster, 2) // as a create leaves it after requesting the plan
			hanging := w.cloud.InjectFault(at)
			w.create(cluster, 2, client.CreateOptions{})
			eventually.Holds(t, "the create hangs", func() bool { return w.cloud.CountFaultHits(hanging) > 0 })
			w.delete(ref, false)
			w.awaitGone(ref)
			w.nothingLeft(ref)
			runs := w.closed(cluster)
			if len(runs) != 2 || runs[0].kind != operation.WorkflowProvision ||
				runs[0].status != enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW ||
				runs[1].kind != operation.WorkflowDelete ||
				runs[1].status != enums.WORKFLOW_EXECUTION_STATUS_COMPLETED {
				t.Fatalf("runs: %v", summary(runs))
			}
			w.keep("provision-deleted-at-"+name, runs[0])
			w.keep("delete-after-"+name, runs[1])
		})
	}
}

func summary(runs []run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, r.kind+" "+r.status.String())
	}
	return all
}

func TestDeleteRetriesTransientCloudErrors(t *testing.T) {
	w := newWorld(t)
	ref := w.create("stumble", 2, client.CreateOptions{})
	w.awaitReady(ref)
	w.cloud.SetListingLag(300 * time.Millisecond)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Machine: "sky-stumble-1", Times: 2,
		Err: simcloud.NewRefusal(cloud.Transient)})
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpRelease, Times: 1, Err: simcloud.NewRefusal(cloud.Transient)})
	w.delete(ref, false)
	w.awaitGone(ref)
	w.nothingLeft(ref)
	w.keep("delete-stumbling", w.closed(ref.Name)[0])
}

func TestFailedDeleteKeepsTheClusterAndItsReason(t *testing.T) {
	w := newWorld(t)
	ref := w.create("refused", 1, client.CreateOptions{})
	w.awaitReady(ref)
	refused := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Err: simcloud.NewRefusal(cloud.Access)})
	w.delete(ref, false)
	w.keep("delete-refused", w.closed(ref.Name)[0])
	c := w.get(ref)
	if f := c.Status.Failure; c.Status.Phase != api.PhaseDeleting || f == nil || f.Reason != "Access" ||
		f.Machine != "sky-refused-0" || f.Step != "terminate" {
		t.Errorf("phase %s, failure %+v", c.Status.Phase, f)
	}
	w.cloud.EndFault(refused)
	w.delete(ref, false)
	w.awaitGone(ref)
	w.nothingLeft(ref)
}

func TestPurgeRemovesAClusterWhoseCloudRefuses(t *testing.T) {
	w := newWorld(t)
	ref := w.create("purged", 2, client.CreateOptions{})
	w.awaitReady(ref)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList, Err: simcloud.NewRefusal(cloud.Access)})
	refused := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Err: simcloud.NewRefusal(cloud.Access)})
	w.delete(ref, true)
	w.awaitGone(ref)
	if n := w.cloud.CountFaultHits(refused); n < 2 {
		t.Errorf("%d terminations were requested for two machines", n)
	}
	w.keep("purge", w.closed(ref.Name)[0])
	if left := w.keysWith(ref); len(left) > 0 {
		t.Errorf("keys remain in etcd: %q", left)
	}
	if n := len(w.cloud.ExistingMachines("sky-purged-")); n != 2 {
		t.Errorf("%d machines on the cloud, which refuses to terminate them", n)
	}
}

func TestPurgeStopsTheCleanUpOfACreateOnAnUnreachableCloud(t *testing.T) {
	w := newWorld(t)
	w.cloud.BreakUnit("sky-unreachable-0", "rke2-server")
	hanging := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Times: 1, Hang: true})
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Err: simcloud.NewRefusal(cloud.Access)})
	ref := w.create("unreachable", 1, client.CreateOptions{})
	eventually.Holds(t, "the create cleans up", func() bool { return w.cloud.CountFaultHits(hanging) > 0 })
	w.delete(ref, true)
	w.awaitGone(ref)
	if left := w.keysWith(ref); len(left) > 0 {
		t.Errorf("keys remain in etcd: %q", left)
	}
}

func TestOperationContinuesAfterAServerOutage(t *testing.T) {
	t.Parallel()
	own, err := devserver.StartServers(t.Context(), filepath.Join(t.TempDir(), "state"), &logged)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	w := newIdleWorld(t, own)
	w.work()
	reached, goOn := make(chan struct{}), make(chan struct{})
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-away-1", Times: 1,
		Do: func(ctx context.Context) error {
			close(reached)
			select {
			case <-goOn:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
	ref := w.create("away", 2, client.CreateOptions{})
	<-reached
	if err := own.Stop(); err != nil {
		t.Fatal(err)
	}
	close(goOn) // it cannot report its result now
	if err := own.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(ref)
	if n := w.cloud.CountLaunches("sky-away-", ""); n != 2 {
		t.Errorf("%d machines were created", n)
	}
}
