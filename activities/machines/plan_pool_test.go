package machines

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

// testTime is the creation of clusters whose age does not matter.
var testTime = time.Unix(1000, 0)

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

// rankedCloud is a cloud that only ranks placements.
type rankedCloud struct {
	cloud.Cloud
	spot, full []api.Placement
	// spotErr and fullErr are returned instead.
	spotErr, fullErr error
	asked            []api.GroupSpec
}

func (c *rankedCloud) RankPlacements(_ context.Context, spec api.GroupSpec, _ api.Neighbors) ([]api.Placement, error) {
	c.asked = append(c.asked, spec)
	if spec.UseSpot {
		return c.spot, c.spotErr
	}
	return c.full, c.fullErr
}

func zone(name string) api.Placement {
	return api.Placement{Cloud: "sim", Region: "here", Zone: name, InstanceType: "s2", PricePerMachine: 1}
}

// newPoolWorld returns activities on a cloud, and a READY cluster in region here.
func newPoolWorld(t *testing.T, c cloud.Cloud, pool api.Pool) (*Activities, api.Ref) {
	t.Helper()
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now,
		Clouds: activities.Clouds{Others: c}, Deadlines: activities.Deadlines{Query: time.Minute}}
	cluster := api.NewCluster("a", "u1", api.GroupSpec{NumNodes: 1, Provision: true}, nil, time.Now())
	cluster.Status.Placement = &api.Placement{Cloud: "sim", Region: "here"}
	cluster.Spec.Pools = append(cluster.Spec.Pools, pool)
	cluster.Status.SetPhase(api.PhaseReady, "", time.Now())
	if _, err := a.Store.CreateCluster(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	return a, cluster.Ref()
}

func zonesOf(all []api.Placement) string {
	var names []string
	for _, p := range all {
		name := p.Zone
		if p.OnDemand {
			name += " full"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func TestPlanPoolTriesWhatFailedLatelyLast(t *testing.T) {
	c := &rankedCloud{full: []api.Placement{zone("a"), zone("b"), zone("c")}}
	a, ref := newPoolWorld(t, c, api.Pool{Name: "gpu", Replicas: 2, Machine: api.MachineSpec{CPUs: "4+"}})
	plan := func(want string) {
		t.Helper()
		got, err := a.PlanPool(t.Context(), PlanPoolInput{Cluster: ref, Pool: "gpu"})
		if err != nil || zonesOf(got.Placements) != want {
			t.Errorf("got %s: %v; want %s", zonesOf(got.Placements), err, want)
		}
	}
	fail := func(z string) {
		t.Helper()
		if err := a.RecordPoolAttempt(t.Context(), PoolAttemptInput{Cluster: ref, Pool: "gpu", Placement: zone(z),
			Failure: api.Failure{Machine: "sky-a-1", Reason: "Capacity", Message: "none left"}}); err != nil {
			t.Fatal(err)
		}
	}
	plan("a, b, c")
	fail("b")
	fail("a")
	plan("c, b, a")
	fail("b")
	plan("c, a, b")
	if g := c.asked[0]; g.Cloud != "sim" || g.Region != "here" || g.CPUs != "4+" || g.NumNodes != 2 {
		t.Errorf("it asked for %+v", g)
	}
	stored, err := a.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil || len(stored.Status.FindPoolStatus("gpu").Attempts) != 2 {
		t.Errorf("%v: %+v", err, stored.Status.Pools)
	}
	events, err := a.Store.ListEvents(t.Context(), ref.UID)
	if err != nil || !slices.ContainsFunc(events, func(e api.Event) bool {
		return e.Reason == "Capacity" && e.Message == "s2 in sim/here/b could not give pool gpu a machine: none left"
	}) {
		t.Errorf("%v: events %+v", err, events)
	}
	now := a.Now()
	a.Now = func() time.Time { return now.Add(2 * time.Hour) }
	plan("a, b, c")
}

func TestPlanPoolFallsBackOnTheFullPriceIfAllowed(t *testing.T) {
	invalid := &api.FieldError{Field: "use_spot", Value: "true", Want: "no"}
	silent := &cloud.Error{Kind: cloud.Unreachable, Message: "no answer"}
	spot, full := []api.Placement{zone("a"), zone("b")}, []api.Placement{zone("a")}
	for name, test := range map[string]struct {
		cloud    rankedCloud
		fallback string
		want     string // placements, or the reason of the error
	}{
		"waits":                     {rankedCloud{spot: spot, full: full}, "", "a, b"},
		"falls back":                {rankedCloud{spot: spot, full: full}, "on_demand", "a, b, a full"},
		"no spot machines at all":   {rankedCloud{spotErr: invalid, full: full}, "on_demand", "a full"},
		"no machines at full price": {rankedCloud{spot: spot, fullErr: invalid}, "on_demand", "a, b"},
		"no spot, and waits":        {rankedCloud{spotErr: invalid, full: full}, "", "InvalidSpec"},
		"no machines":               {rankedCloud{}, "on_demand", "Infeasible"},
		"neither is offered":        {rankedCloud{spotErr: invalid, fullErr: invalid}, "on_demand", "InvalidSpec"},
		"a cloud that is silent":    {rankedCloud{spotErr: silent, full: full}, "on_demand", "Unreachable"},
		"silent on the fallback":    {rankedCloud{spot: spot, fullErr: silent}, "on_demand", "Unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			pool := api.Pool{Name: "gpu", Replicas: 1, Machine: api.MachineSpec{UseSpot: true},
				SpotFallback: test.fallback}
			a, ref := newPoolWorld(t, &test.cloud, pool)
			plan, err := a.PlanPool(t.Context(), PlanPoolInput{Cluster: ref, Pool: "gpu"})
			got := zonesOf(plan.Placements)
			if failed := new(temporal.ApplicationError); errors.As(err, &failed) {
				got = failed.Type()
			}
			if got != test.want {
				t.Errorf("got %s, want %s: %v", got, test.want, err)
			}
		})
	}
}

func TestCheckSpecOfAPoolAsksInTheClustersRegion(t *testing.T) {
	c := &rankedCloud{full: []api.Placement{zone("a")}}
	a, ref := newPoolWorld(t, c, api.Pool{Name: "gpu"})
	pool := api.Pool{Name: "new", Replicas: 3, Machine: api.MachineSpec{CPUs: "8"}}
	in := operation.PlanInput{Pool: &operation.PoolQuestion{Cluster: ref, Pool: pool}}
	got, err := a.CheckSpec(t.Context(), in)
	if err != nil || zonesOf(got.Placements) != "a" || got.Worker == nil {
		t.Errorf("%v: %+v", err, got)
	}
	if g := c.asked[0]; g.Region != "here" || g.CPUs != "8" || g.NumNodes != 3 {
		t.Errorf("it asked for %+v", g)
	}
	c.fullErr = &api.FieldError{Field: "cpus", Value: "8", Want: "4"}
	got, err = a.CheckSpec(t.Context(), in)
	if err != nil || len(got.Invalid) != 1 || got.Invalid[0].Field != "cpus" {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestCheckSpecOfAPoolWithoutPlacementIsNoError(t *testing.T) {
	pool := api.Pool{Name: "big", Replicas: 1}
	a, ref := newPoolWorld(t, &rankedCloud{}, pool)
	result, err := a.CheckSpec(t.Context(), operation.PlanInput{Pool: &operation.PoolQuestion{Cluster: ref,
		Pool: pool}})
	if err != nil || len(result.Placements) > 0 || result.Worker == nil {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestRepositionMachineMovesWhatWasNeverUpOnce(t *testing.T) {
	a, ref := newPoolWorld(t, &rankedCloud{}, api.Pool{Name: "gpu", Replicas: 1})
	old := api.NewMachine("a", 1, "gpu", "bcdfg", zone("a"), time.Now())
	old.Leaving, old.ReplaceAsked = api.LeaveDeleted, true
	set := func(state api.MachineState) {
		old.State = state
		if err := a.Store.PutMachines(t.Context(), ref, []api.Machine{old}); err != nil {
			t.Fatal(err)
		}
	}
	in := RepositionInput{Machine: activities.MachineRefOf(ref, old), Placement: zone("b")}
	set(api.MachineLaunching)
	_, err := a.RepositionMachine(t.Context(), in)
	if failed := new(temporal.ApplicationError); !errors.As(err, &failed) || failed.Type() != "Conflict" {
		t.Errorf("a machine that may exist: %v", err)
	}
	set(api.MachineReserved)
	first, err := a.RepositionMachine(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.RepositionMachine(t.Context(), in)
	if err != nil || again != first || first.Incarnation == old.Incarnation {
		t.Errorf("%v: %+v, then %+v", err, first, again)
	}
	_, m, err := activities.ReadMachine(t.Context(), a.Store, first)
	if err != nil || m.Placement != zone("b") || m.Pool != "gpu" || m.Leaving != api.LeaveDeleted || m.ReplaceAsked ||
		m.State != api.MachineReserved {
		t.Errorf("%v: %+v", err, m)
	}
	if _, err := a.Store.ReadSecret(t.Context(), ref, store.SecretHostKey(first.Incarnation)); err != nil {
		t.Error(err)
	}
}
