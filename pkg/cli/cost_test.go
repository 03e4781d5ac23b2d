package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeBilledCluster stores a cluster that has cost 20 cents an hour for two hours and three minutes, far from where
// the rounded cents change.
func storeBilledCluster(t *testing.T, name string) {
	t.Helper()
	place := api.Placement{Cloud: "aws", Region: "us-east-1", PricePerMachine: 0.1, PriceTotal: 0.2}
	c := api.NewCluster(name, "uid-"+name, api.GroupSpec{NumNodes: 2, Provision: true}, nil, time.Now())
	c.Status.Placement = &place
	c.Status.SetPhase(api.PhaseReady, "", time.Now())
	if _, err := world.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var machines []api.Machine
	for i := range 2 {
		m := fixture.NewMachine(name, i, api.MachineReady, "", time.Hour)
		m.Placement, m.LaunchedAt = place, time.Now().Add(-123*time.Minute)
		machines = append(machines, m)
	}
	if err := world.Store.PutMachines(t.Context(), c.Ref(), machines); err != nil {
		t.Fatal(err)
	}
}

func TestDeletePrintsTheCostSoFar(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeBilledCluster(t, "dear")
	if wide := p.run("get", "clusters", "-o", "wide"); !strings.Contains(wide.out, "$0.20") ||
		!strings.Contains(wide.out, "$0.41") {
		t.Errorf("get -o wide: %q", wide.out)
	}
	got := p.run("delete", "cluster", "dear", "--yes")
	if got.code != 0 || got.out != "Cluster dear is being deleted. It has cost ~$0.41 so far.\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestDeleteWaitPrintsTheFinalCost(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeBilledCluster(t, "awaited-dear")
	var out, errs lockedbuffer.Buffer
	world.SetBehavior("awaited-dear", skydstub.Behavior{Delete: func(ctx context.Context, w *skydstub.World,
		in operation.DeleteInput) error {
		for i := range 2 { // the machines ran for another hour
			if _, err := w.Store.UpdateMachine(ctx, in.Cluster, i, "x7k2p", func(m *api.Machine) error {
				m.SetState(api.MachineGone, "", m.LaunchedAt.Add(200*time.Minute))
				m.BilledFrom, m.BilledUntil = m.LaunchedAt, m.LaunchedAt.Add(183*time.Minute)
				return nil
			}); err != nil {
				return err
			}
		}
		for ctx.Err() == nil && !strings.Contains(errs.String(), "sky-awaited-dear-1 Gone") { // the watcher has seen it
			time.Sleep(5 * time.Millisecond)
		}
		return w.Store.DeleteCluster(ctx, in.Cluster)
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	code := Run(ctx, p.environment(&bytes.Buffer{}, &out, &errs),
		[]string{"delete", "cluster", "awaited-dear", "--yes", "--wait"})
	if code != 0 || out.String() != "Deleted cluster awaited-dear. It cost $0.61 in total.\n" ||
		!strings.Contains(errs.String(), "has cost ~$0.41 so far") {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
}
