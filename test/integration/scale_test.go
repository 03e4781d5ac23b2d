package integration

import (
	"context"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// change changes the spec of a cluster as skyctl does.
func (w *world) change(ref api.Ref, change func(*api.Cluster) error) *api.Cluster {
	w.t.Helper()
	changed, err := w.ops.ChangeSpec(w.t.Context(), w.get(ref), change)
	if err != nil || changed.Unstarted != nil {
		w.t.Fatalf("change %s: %v, %v", ref.Name, err, changed.Unstarted)
	}
	return changed.Cluster
}

// scale sets the number of machines of the whole cluster.
func (w *world) scale(ref api.Ref, machines int) *api.Cluster {
	w.t.Helper()
	return w.change(ref, func(c *api.Cluster) error { return c.Spec.ScaleTo(machines) })
}

// awaitReached waits until the machines of a changed cluster are those of its spec.
func (w *world) awaitReached(changed *api.Cluster) *api.Cluster {
	w.t.Helper()
	if _, err := w.ops.AwaitChange(w.t.Context(), changed, client.Goal{}, patience,
		func(client.Progress) {}); err != nil {
		w.t.Fatalf("%s did not reach generation %d: %v; %+v", changed.Metadata.Name, changed.Metadata.Generation, err,
			w.get(changed.Ref()).Status.Repairs)
	}
	return w.get(changed.Ref())
}

// indexesOf returns the indexes of a cluster's machines in a pool.
func indexesOf(c *api.Cluster, pool string) []int {
	var all []int
	for _, m := range c.Status.Machines {
		if m.PoolName() == pool {
			all = append(all, m.Index)
		}
	}
	return all
}

func TestScalingAddsAndRemovesMachines(t *testing.T) {
	w := newWorld(t)
	ref := w.create("scaled", 2, client.CreateOptions{})
	w.awaitReady(ref)
	w.awaitClosed(ref)
	w.keep("provision-groups", w.runsOf(ref.Name)[0])
	w.keep("bring-up-together", w.runOf(operation.WorkflowID(ref.Name)+"/default/1", ""))
	c := w.awaitReached(w.scale(ref, 4))
	if got := indexesOf(c, "default"); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("workers %v", got)
	}
	w.healthy(ref, 4)
	w.awaitClosed(ref)
	w.keep("converge-scale-up", w.runsOf(ref.Name)[0])
	w.keep("bring-up-gathered", w.runOf(operation.WorkflowID(ref.Name)+"/default/2", ""))

	c = w.awaitReached(w.scale(ref, 2))
	if got := indexesOf(c, "default"); !slices.Equal(got, []int{1}) {
		t.Errorf("workers %v, want the oldest", got)
	}
	w.healthy(ref, 2)
	w.awaitClosed(ref)
	w.keep("converge-scale-down", w.runsOf(ref.Name)[0])
	if c.Status.RemovedCost < 0 || c.Status.Operation != nil {
		t.Errorf("%+v", c.Status)
	}

	c = w.awaitReached(w.scale(ref, 3))
	if got := indexesOf(c, "default"); !slices.Equal(got, []int{1, 4}) {
		t.Errorf("workers %v, want an index that was never used", got)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
}

// awaitClosed waits until the operation on a cluster has ended.
func (w *world) awaitClosed(ref api.Ref) {
	w.t.Helper()
	_ = w.temporal.GetWorkflow(w.t.Context(), operation.WorkflowID(ref.Name), "").Get(w.t.Context(), nil)
}

func TestPoolsComeAndGo(t *testing.T) {
	w := newWorld(t)
	ref := w.create("pooled", 2, client.CreateOptions{})
	w.awaitReady(ref)
	c := w.awaitReached(w.change(ref, func(c *api.Cluster) error {
		return c.Spec.AddPool(api.Pool{Name: "big", Replicas: 2, Machine: api.MachineSpec{CPUs: "4+"},
			Labels: map[string]string{"tier": "train"}, Taints: []string{"dedicated=train:NoSchedule"}})
	}))
	if got := indexesOf(c, "big"); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("machines of the pool %v", got)
	}
	w.healthy(ref, 4)
	c = w.awaitReached(w.change(ref, func(c *api.Cluster) error { return c.Spec.RemovePool("big") }))
	if len(c.Status.Machines) != 2 || c.Status.NextIndex != 4 {
		t.Errorf("%d machines, next index %d", len(c.Status.Machines), c.Status.NextIndex)
	}
	w.healthy(ref, 2)
}

func TestNamedMachineIsReplacedAndDeleted(t *testing.T) {
	w := newWorld(t)
	ref := w.create("named", 3, client.CreateOptions{})
	w.awaitReady(ref)
	before := w.get(ref).Status.Machines
	w.change(ref, func(c *api.Cluster) error {
		for i := range c.Status.Machines {
			if c.Status.Machines[i].Index == 1 {
				c.Status.Machines[i].ReplaceAsked = true
			}
		}
		return nil
	})
	eventually.Holds(t, "the machine is replaced", func() bool {
		m := w.get(ref).Status.Machines[1]
		return m.Incarnation != before[1].Incarnation && m.State == api.MachineReady
	})
	w.healthy(ref, 3)
	c := w.awaitReached(w.change(ref, func(c *api.Cluster) error {
		c.Status.Machines[1].Leaving = api.LeaveDeleted
		return c.Spec.ScalePool("default", 1)
	}))
	if got := indexesOf(c, "default"); !slices.Equal(got, []int{2}) {
		t.Errorf("workers %v, want only the one that was not named", got)
	}
	w.healthy(ref, 2)
}

func TestSlowLaunchHoldsUpNothingElse(t *testing.T) {
	w := newWorld(t)
	ref := w.create("slow", 2, client.CreateOptions{})
	w.awaitReady(ref)
	hang := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-slow-2", Hang: true})
	w.scale(ref, 3)
	eventually.Holds(t, "the launch hangs", func() bool { return w.cloud.CountFaultHits(hang) > 0 })
	w.scale(ref, 4)
	eventually.Holds(t, "the later machine is Ready", func() bool {
		for _, m := range w.get(ref).Status.Machines {
			if m.Index == 3 && m.State == api.MachineReady {
				return true
			}
		}
		return false
	})
	c := w.get(ref)
	if c.Status.Operation == nil || c.Status.ObservedGeneration == c.Metadata.Generation {
		t.Errorf("operation %+v, generation %d of %d", c.Status.Operation, c.Status.ObservedGeneration,
			c.Metadata.Generation)
	}
	// the machine that never comes is the first to leave
	c = w.awaitReached(w.scale(ref, 3))
	if got := indexesOf(c, "default"); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("workers %v", got)
	}
	w.cloud.EndFault(hang)
	w.healthy(ref, 3)
}

func TestPoolWithoutCapacityGoesToTheNextPlacement(t *testing.T) {
	w := newWorld(t, here, zonePlacement("here", "b"))
	ref := w.create("elsewhere", 1, client.CreateOptions{})
	w.awaitReady(ref)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: "sky-elsewhere-1", Times: 1,
		Err: simcloud.NewRefusal(cloud.Capacity)})
	c := w.awaitReached(w.scale(ref, 2))
	w.healthy(ref, 2)
	if len(c.Status.Pools) != 1 || len(c.Status.Pools[0].Attempts) != 1 ||
		c.Status.Pools[0].Attempts[0].Reason != string(cloud.Capacity) {
		t.Errorf("attempts %+v", c.Status.Pools)
	}
	w.awaitClosed(ref)
}

// zonePlacement is a placement in a zone of a region.
func zonePlacement(region, zone string) api.Placement {
	p := simcloud.RegionPlacement(region)
	p.Zone = zone
	return p
}

func TestChangeDuringProvisioningIsConvergedTo(t *testing.T) {
	w := newWorld(t)
	goOn := make(chan struct{})
	hang := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-early-0",
		Do: func(context.Context) error { <-goOn; return nil }})
	ref := w.create("early", 2, client.CreateOptions{})
	eventually.Holds(t, "the head is launched", func() bool { return w.cloud.CountFaultHits(hang) > 0 })
	changed := w.scale(ref, 3)
	close(goOn)
	w.awaitReached(changed)
	w.healthy(ref, 3)
	runs := w.runsOf(ref.Name)
	if len(runs) != 2 || runs[1].kind != operation.WorkflowConverge {
		var kinds []string
		for _, r := range runs {
			kinds = append(kinds, r.kind)
		}
		t.Errorf("runs %v, want the create to continue as Converge", kinds)
	}
}

func TestDeleteDuringAScaleUpLeavesNothing(t *testing.T) {
	w := newWorld(t)
	ref := w.create("cutoff", 2, client.CreateOptions{})
	w.awaitReady(ref)
	hang := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-cutoff-2", Hang: true})
	w.scale(ref, 4)
	eventually.Holds(t, "a launch hangs", func() bool { return w.cloud.CountFaultHits(hang) > 0 })
	w.delete(ref, false)
	w.awaitGone(ref)
	if left := w.cloud.ExistingMachines("sky-cutoff-"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	runs := w.runsOf(ref.Name)
	w.keep("converge-deleted-launching", runs[0])
}

func TestPauseStopsNewActionsAndResumeGoesOn(t *testing.T) {
	w := newWorld(t)
	ref := w.create("paused", 1, client.CreateOptions{})
	w.awaitReady(ref)
	if _, err := w.ops.PauseReconcile(t.Context(), ref.Name); err != nil {
		t.Fatal(err)
	}
	changed := w.scale(ref, 2)
	w.awaitClosed(ref)
	if n := len(w.cloud.ExistingMachines("sky-paused-")); n != 1 {
		t.Errorf("%d machines while paused", n)
	}
	if _, err := w.ops.ResumeReconcile(t.Context(), ref.Name); err != nil {
		t.Fatal(err)
	}
	w.sweep(ref.Name)
	w.awaitReached(changed)
	w.healthy(ref, 2)
}
