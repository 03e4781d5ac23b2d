package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeReadyCluster stores a READY cluster with drift.
func storeReadyCluster(t *testing.T, name string, seen ...api.Drift) api.Ref {
	t.Helper()
	c := api.NewCluster(name, "uid-of-"+name,
		api.GroupSpec{Cloud: "docker", CPUs: "2+", NumNodes: 3, Provision: true}, nil, time.Now())
	c, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := world.SucceedCreate(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Store.UpdateCluster(t.Context(), c.Ref(),
		func(c *api.Cluster) error { c.Status.SetDrift(seen, time.Now().UTC()); return nil }); err != nil {
		t.Fatal(err)
	}
	return c.Ref()
}

var lost = api.Drift{Machine: "sky-x-1", Reason: api.DriftMachineGone, Message: "the cloud no longer lists it",
	Next: "it is replaced"}

// newRepairingSweep returns a sweep that reports the drift in etcd and starts a repair.
func newRepairingSweep(again *bool) func(context.Context, *skydstub.World, operation.SweepInput) (operation.SweepResult,
	error) {
	return func(ctx context.Context, w *skydstub.World, in operation.SweepInput) (operation.SweepResult, error) {
		*again = in.Again
		c, err := w.Store.ReadCluster(ctx, in.Cluster)
		if err != nil {
			return operation.SweepResult{}, err
		}
		d := operation.DriftedCluster{Cluster: in.Cluster, Phase: c.Status.Phase, Drift: c.Status.Drift,
			Started: operation.WorkflowConverge}
		return operation.SweepResult{Looked: 1, Drifted: []operation.DriftedCluster{d}},
			w.StartRepair(ctx, c.Ref(), in.Again)
	}
}

func TestReconcileOfOneClusterRetriesAndWaitsForSync(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeReadyCluster(t, "mended", lost)
	again := false
	world.SetBehavior("mended", skydstub.Behavior{Sweep: newRepairingSweep(&again)})
	if got := p.run("get", "clusters"); !strings.Contains(got.out, "READY (drifted)") {
		t.Errorf("get clusters: %s", got.out)
	}
	got := p.run("reconcile", "mended", "--wait")
	if got.code != 0 || !again || !strings.Contains(got.out, "mended (READY): Converge started\n") ||
		!strings.Contains(got.out, "MachineGone") ||
		!strings.Contains(got.out, "Cluster mended is in sync after ") ||
		!strings.Contains(got.err, "✔ Repairing cluster completed successfully.") {
		t.Errorf("exit %d, again %v\n%s%s", got.code, again, got.out, got.err)
	}
	world.SetBehavior("mended", skydstub.Behavior{})
	p.run("reconcile", "mended", "--wait").check(t, 0, "Cluster mended is in sync.\n",
		"Checking cluster mended\n✔ Checking cluster mended completed successfully.\n")
}

func TestReconcileWithRemainingDriftExitsWithOne(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeReadyCluster(t, "lasting", lost)
	again := false
	world.SetBehavior("lasting", skydstub.Behavior{Sweep: newRepairingSweep(&again),
		Repair: func(ctx context.Context, w *skydstub.World, in operation.RepairInput) error {
			_, err := w.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
				c.Status.BeginRepair(api.Repair{ID: "a",
					Action: api.Action{Kind: api.ActionReplace, Machine: "sky-x-1", Reason: api.DriftMachineGone}})
				c.Status.EndRepair("a", "the cloud has no room", time.Now().UTC())
				return nil
			})
			return err
		}})
	got := p.run("reconcile", "lasting", "--wait")
	if got.code != ExitFailed || !strings.Contains(got.err,
		"✗ Repairing cluster failed: cluster lasting is not in sync\n  sky-x-1: MachineGone: ") ||
		!strings.Contains(got.err, "For details: skyctl describe cluster lasting") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := p.run("reconcile", "lasting"); got.code != 0 || strings.Contains(got.err, "failed") {
		t.Errorf("without --wait: exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestReconcileOfAFailedClusterExitsWithOneAndReason(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	ref := storeReadyCluster(t, "given-up")
	_ = world.FailCreate(t.Context(), ref, api.Failure{Step: "repair", Machine: "sky-given-up-0", Reason: "HeadLost",
		Message: "the head is gone"})
	if got := p.run("reconcile", "given-up"); got.code != 0 ||
		got.out != "Cluster given-up is ERROR: see skyctl describe cluster given-up\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	if got := p.run("reconcile", "given-up", "--wait"); got.code != ExitFailed ||
		!strings.Contains(got.err, "repair on sky-given-up-0: HeadLost: the head is gone") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestReconcileOfAllPrintsStructuredOutput(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeReadyCluster(t, "one", lost)
	world.SetBehavior("", skydstub.Behavior{Sweep: func(_ context.Context, _ *skydstub.World,
		in operation.SweepInput) (operation.SweepResult, error) {
		if in.Again || in.Cluster != "" {
			t.Errorf("got the input %+v", in)
		}
		return operation.SweepResult{Looked: 1, Orphans: fixture.NewOrphans()}, nil
	}})
	got := p.run("reconcile", "-o", "json")
	var r operation.SweepResult
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 || got.err != "" || r.Looked != 1 ||
		len(r.Orphans) != 2 {
		t.Errorf("%v: exit %d, %q, %q", err, got.code, got.out, got.err)
	}
	if plain := p.run("reconcile"); !strings.Contains(plain.out,
		"Checked 1 cluster: all in sync.\n") ||
		!strings.Contains(plain.out, "2 orphans: see skyctl get orphans") {
		t.Errorf("exit %d, %q, %q", plain.code, plain.out, plain.err)
	}
}

func TestCtrlCLeavesARepairRunning(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeReadyCluster(t, "going", lost)
	again := false
	world.SetBehavior("going", skydstub.Behavior{Sweep: newRepairingSweep(&again),
		Repair: func(ctx context.Context, _ *skydstub.World, _ operation.RepairInput) error {
			<-ctx.Done()
			return ctx.Err()
		}})
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() { done <- Run(ctx, p.environment(nil, &out, &errs), []string{"reconcile", "going", "--wait"}) }()
	eventually.Holds(t, "it waits", func() bool { return strings.Contains(errs.String(), "Repairing cluster") })
	interrupt()
	if code := <-done; code != ExitInterrupted || !strings.HasSuffix(errs.String(), "skyctl describe cluster going\n") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	c, err := world.Store.ReadCluster(t.Context(), "going")
	if err == nil {
		_, err = world.Store.UpdateCluster(t.Context(), c.Ref(), func(cl *api.Cluster) error {
			cl.Status.Operation = &api.OperationStatus{Type: operation.WorkflowConverge, Doing: "replacing 1"}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := p.run("pause", "reconcile", "going"); got.code != 0 || !strings.HasSuffix(got.out,
		"Still running, and finishes first: replacing 1. To see it: skyctl get events going -w\n") {
		t.Errorf("pause: exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestPauseAndResumeReportTheirResult(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeReadyCluster(t, "halted")
	for _, step := range []struct{ verb, says string }{
		{"pause", "are paused. To resume them: skyctl resume reconcile halted"}, {"pause", "were already paused"},
		{"resume", "are resumed."}, {"resume", "were not paused"},
	} {
		if got := p.run(step.verb, "reconcile", "halted"); got.code != 0 ||
			!strings.Contains(got.out, "Repairs of cluster halted "+step.says) ||
			strings.Contains(got.out, "is running") {
			t.Errorf("%s: exit %d, %q, %q", step.verb, got.code, got.out, got.err)
		}
		if shown := strings.Contains(p.run("get", "clusters").out, "READY (paused)"); shown != (step.verb == "pause") {
			t.Errorf("after %s get clusters shows it as paused: %v", step.verb, shown)
		}
	}
	if got := p.run("pause", "reconcile"); got.code != ExitUnreachable ||
		!strings.Contains(got.err, "no schedule of sweeps") {
		t.Errorf("without a schedule: exit %d, %q", got.code, got.err)
	}
	world.CreateSchedule(t)
	for _, step := range []struct{ verb, says string }{
		{"pause", "no cluster is checked or repaired"}, {"pause", "were already paused"},
		{"resume", "Sweeps are resumed"}, {"resume", "were not paused"},
	} {
		// the state of a schedule may be out of date for a moment
		eventually.Holds(t, step.verb+" says: "+step.says, func() bool {
			got := p.run(step.verb, "reconcile")
			return got.code == 0 && strings.Contains(got.out, step.says)
		})
		if step.verb == "pause" {
			eventually.Holds(t, "reconcile says so too",
				func() bool {
					return strings.Contains(p.run("reconcile").out,
						"Scheduled sweeps are paused")
				})
		}
	}
}
