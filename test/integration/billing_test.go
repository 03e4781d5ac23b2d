package integration

import (
	"context"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/poweroff"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// dear is a placement with a price.
func dear(region string) api.Placement {
	p := simcloud.RegionPlacement(region)
	p.PricePerMachine, p.PriceTotal = 3600, 7200 // a dollar per second
	return p
}

// armed returns how many machines of a cluster have a power-off timer: on the machines, and in etcd.
func (w *world) armed(ref api.Ref) (timers, recorded int) {
	w.t.Helper()
	for _, m := range w.get(ref).Status.Machines {
		if w.cloud.IsTimerActive(m.Name, poweroff.UnitName) {
			timers++
		}
		if !m.PowerOffAt.IsZero() {
			recorded++
			if left := time.Until(m.PowerOffAt); left < operation.DefaultProvisionTimeout ||
				left > 2*operation.DefaultProvisionTimeout {
				w.t.Errorf("%s powers itself off in %v", m.Name, left)
			}
		}
	}
	return timers, recorded
}

func TestBilledMachinesHaveATimerUntilTheirClusterIsReady(t *testing.T) {
	w := newWorld(t, dear("here"))
	w.cloud.BreakUnit("sky-billing-1", "rke2-agent")
	ref := w.create("billing", 2, client.CreateOptions{KeepOnFailure: true})
	w.awaitFailed(ref)
	if timers, recorded := w.armed(ref); timers != 2 || recorded != 2 {
		t.Errorf("of the 2 kept machines, %d have a timer, and %d have one on record", timers, recorded)
	}
	w.keep("provision-billing-kept", w.closed(ref.Name)[0])
	w.cloud.BreakUnit("sky-billing-1", "")
	w.create("billing", 2, client.CreateOptions{})
	w.awaitReady(ref)
	if timers, recorded := w.armed(ref); timers != 0 || recorded != 0 {
		t.Errorf("of a READY cluster, %d machines have a timer, and %d have one on record", timers, recorded)
	}
	w.keep("provision-billing", w.closed(ref.Name)[0])
}

func TestCostIncludesReplacedMachines(t *testing.T) {
	w := newWorld(t, dear("here"), dear("there"))
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Region: "here", Machine: "sky-spent-1",
		Do: func(ctx context.Context) error {
			if err := await.Condition(ctx, 10*time.Millisecond, func() (bool, error) {
				c, err := w.store.ReadCluster(ctx, "spent")
				return err == nil && !c.Status.Machines[0].LaunchedAt.IsZero(), err
			}); err != nil { // the head costs something, too
				return err
			}
			return simcloud.NewRefusal(cloud.Capacity)
		}})
	ref := w.create("spent", 2, client.CreateOptions{})
	c := w.awaitReady(ref)
	now, before, own := time.Now(), 0.0, 0.0
	for _, m := range c.Status.Machines {
		if m.SpentBefore <= 0 {
			t.Errorf("the machines that %s replaced cost $%v", m.Name, m.SpentBefore)
		}
		before, own = before+m.SpentBefore, own+m.CostUntil(now)
	}
	if took := now.Sub(c.Metadata.CreatedAt).Seconds(); before+own > 2*took || own <= 0 {
		t.Errorf("two machines at a dollar per second cost $%v and $%v in %vs", before, own, took)
	}
	if got := c.Status.CostSoFar(now); got < before+own-1e-6 || got > before+own+1e-6 {
		t.Errorf("$%v in all, want $%v", got, before+own)
	}
}
