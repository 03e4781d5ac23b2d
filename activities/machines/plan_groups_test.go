package machines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// sizedCloud ranks placements by the requested CPUs, and records what it was asked for.
type sizedCloud struct {
	cloud.Cloud
	byCPUs map[string][]api.Placement
	beside []api.Neighbors
}

func (c *sizedCloud) RankPlacements(_ context.Context, spec api.GroupSpec,
	beside api.Neighbors) ([]api.Placement, error) {
	c.beside = append(c.beside, beside)
	var all []api.Placement
	for _, p := range c.byCPUs[spec.CPUs] {
		p.PriceTotal = p.PricePerMachine * float64(spec.NumNodes)
		all = append(all, p)
	}
	return all, nil
}

func in(region string, price float64) api.Placement {
	return api.Placement{Cloud: "sim", Region: region, PricePerMachine: price}
}

func TestPlanPlacesPoolsBesideTheirControlPlane(t *testing.T) {
	small := api.MachineSpec{CPUs: "2", Memory: "4"}
	spec := api.ClusterSpec{ControlPlane: api.ControlPlane{Replicas: 1, Machine: small}, Pools: []api.Pool{
		{Name: "default", Replicas: 2, Machine: small},
		{Name: "gpu", Replicas: 4, Machine: api.MachineSpec{CPUs: "8"}},
		{Name: "more", Replicas: 1, Machine: api.MachineSpec{CPUs: "8"}},
		{Name: "none", Machine: api.MachineSpec{CPUs: "99"}},
	}}
	c := &sizedCloud{byCPUs: map[string][]api.Placement{
		"2": {in("east", 1), in("west", 2)}, "8": {in("west", 5), in("east", 9)},
	}}
	ranked, err := rankCluster(t.Context(), c, spec.PlacementGroups())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range ranked {
		text := fmt.Sprintf("%s $%g", p.Region, p.PriceTotal)
		for _, pool := range p.Pools {
			text += fmt.Sprintf(" %s %s $%g", pool.Pool, pool.Placement.Region, pool.Placement.PricePerMachine)
		}
		got = append(got, text)
	}
	want := []string{"west $31 gpu west $5 more west $5", "east $48 gpu east $9 more east $9"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !slices.Equal(c.beside, []api.Neighbors{{Machines: 5, Unsized: 5}, {Machines: 3, MemoryGiB: 12}}) {
		t.Errorf("beside %+v", c.beside)
	}
}

func TestPlanOfEqualMachinesIsOneGroup(t *testing.T) {
	c := &sizedCloud{byCPUs: map[string][]api.Placement{"2+": {in("east", 1), in("west", 2)}}}
	cluster := api.NewCluster("a", "u", api.GroupSpec{NumNodes: 3, CPUs: "2+"}, nil, testTime)
	ranked, err := rankCluster(t.Context(), c, cluster.Spec.PlacementGroups())
	if err != nil || len(ranked) != 2 || ranked[0].Region != "east" || ranked[0].PriceTotal != 3 ||
		ranked[0].Pools != nil || len(c.beside) != 1 {
		t.Errorf("%v: %+v", err, ranked)
	}
}

func TestPlanWithoutACommonRegionSaysWhatFitsWhere(t *testing.T) {
	c := &sizedCloud{byCPUs: map[string][]api.Placement{"2": {in("east", 1)}, "8": {in("west", 5), in("north", 6)}}}
	a, ref := newPoolWorld(t, c, api.Pool{Name: "gpu", Replicas: 1, Machine: api.MachineSpec{CPUs: "8"}})
	if _, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		c.Spec.ControlPlane.Machine.CPUs, c.Spec.Pools[0].Machine.CPUs = "2", "2"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := a.Plan(t.Context(), ref)
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) || failed.Type() != "Infeasible" || !strings.Contains(err.Error(),
		"the control plane fits in sim/east; pool gpu fits in sim/west, sim/north") {
		t.Errorf("got %v", err)
	}
	c.byCPUs["8"] = nil
	if _, err = a.Plan(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "pool gpu: no placement") {
		t.Errorf("got %v", err)
	}
}

// strictCloud refuses specs with some CPUs.
type strictCloud struct {
	sizedCloud
	refused map[string]string // what is wanted, by CPUs
}

func (c *strictCloud) ValidateSpec(_ context.Context, spec api.GroupSpec) error {
	if want := c.refused[spec.CPUs]; want != "" {
		return &api.FieldError{Field: "cpus", Value: spec.CPUs, Want: want}
	}
	return nil
}

func TestCheckSpecPlacesAllPoolsOfANewCluster(t *testing.T) {
	c := &strictCloud{sizedCloud: sizedCloud{byCPUs: map[string][]api.Placement{
		"2": {in("east", 1), in("west", 2)}, "8": {in("west", 5), in("east", 9)}}}}
	a := &Activities{Clouds: activities.Clouds{Others: c}, Deadlines: activities.Deadlines{Query: time.Minute}}
	spec := api.ClusterSpec{Cloud: "sim", Provision: true,
		ControlPlane: api.ControlPlane{Replicas: 1, Machine: api.MachineSpec{CPUs: "2"}},
		Pools: []api.Pool{{Name: "big", Replicas: 2, Machine: api.MachineSpec{CPUs: "8"}},
			{Name: "odd", Replicas: 1, Machine: api.MachineSpec{CPUs: "3"}}}}
	ask := operation.PlanInput{Spec: spec.ControlPlaneGroup(), Cluster: &spec}
	c.refused = map[string]string{"2": "at least 4", "3": "an even number"}
	got, err := a.CheckSpec(t.Context(), ask)
	if err != nil || len(got.Invalid) != 2 || got.Invalid[0].Field != "spec.control_plane.machine.cpus" ||
		got.Invalid[1].Field != "spec.pools[odd].machine.cpus" {
		t.Errorf("%v: %+v", err, got.Invalid)
	}
	c.refused = nil
	spec.Pools = spec.Pools[:1]
	got, err = a.CheckSpec(t.Context(), ask)
	if err != nil || len(got.Placements) != 2 || got.Placements[0].Region != "west" ||
		got.Placements[0].PriceTotal != 12 || len(got.Pools) != 1 || got.Pools[0].Pool != "big" ||
		got.Pools[0].Placement.PricePerMachine != 5 || got.Worker == nil {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestServersGetPlacementsThatAreLargeEnough(t *testing.T) {
	small, large := in("east", 1), in("west", 2)
	small.CPUs, small.MemoryGiB, large.CPUs, large.MemoryGiB = 2, 2, 2, 4
	c := &strictCloud{sizedCloud: sizedCloud{byCPUs: map[string][]api.Placement{"": {small, large},
		"1": {small, large}}}}
	a := &Activities{Clouds: activities.Clouds{Others: c}, Deadlines: activities.Deadlines{Query: time.Minute}}
	got, err := a.CheckSpec(t.Context(), operation.PlanInput{Spec: api.GroupSpec{Cloud: "sim", NumNodes: 2}})
	if err != nil || len(got.Placements) != 1 || got.Placements[0].Region != "west" {
		t.Errorf("of a create: %v: %+v", err, got)
	}
	spec := api.ClusterSpec{Cloud: "sim", ControlPlane: api.ControlPlane{Replicas: 1},
		Pools: []api.Pool{{Name: "workers", Replicas: 1, Machine: api.MachineSpec{CPUs: "1"}}}}
	ranked, err := rankCluster(t.Context(), c, spec.PlacementGroups())
	if err != nil || len(ranked) != 1 || ranked[0].Region != "west" {
		t.Errorf("of a cluster with a pool of its own kind: %v: %+v", err, ranked)
	}
	spec.ControlPlane.Machine.CPUs = "1" // as a cluster of an older version
	ranked, err = rankCluster(t.Context(), c, spec.PlacementGroups())
	if err != nil || len(ranked) != 2 || ranked[0].Region != "east" {
		t.Errorf("of a cluster that asks for less: %v: %+v", err, ranked)
	}
}

func TestReplacedServerGetsAPlacementThatIsLargeEnough(t *testing.T) {
	small, large, first := in("east", 1), in("east", 2), in("east", 3)
	small.InstanceType, small.MemoryGiB, large.InstanceType, large.MemoryGiB = "small", 2, "large", 4
	first.InstanceType = "first"
	a, ref := newPoolWorld(t, &sizedCloud{byCPUs: map[string][]api.Placement{"": {small, large}}},
		api.Pool{Name: "workers", Replicas: 1})
	if err := a.Store.PutMachines(t.Context(), ref, []api.Machine{{Name: "sky-a-0", Role: api.RoleHead,
		State: api.MachineReady, Incarnation: "x", Placement: first}}); err != nil {
		t.Fatal(err)
	}
	ranked, err := a.PlanServer(t.Context(), ref)
	if err != nil || len(ranked) != 2 || ranked[0].InstanceType != "first" || ranked[1].InstanceType != "large" {
		t.Errorf("%v: %+v", err, ranked)
	}
}

// warningCloud warns of the placements of all machines.
type warningCloud struct{ strictCloud }

func (c *warningCloud) ListWarnings(machines []api.Placement) []api.Finding {
	var sum float64
	for _, m := range machines {
		sum += m.CPUs
	}
	return []api.Finding{{Message: fmt.Sprintf("%d machines, %g CPUs", len(machines), sum)}}
}

func TestCloudIsAskedForWarningsWithAllMachinesOfANewCluster(t *testing.T) {
	two, eight := in("east", 1), in("east", 2)
	two.CPUs, two.MemoryGiB, eight.CPUs, eight.MemoryGiB = 2, 4, 8, 4
	c := &warningCloud{strictCloud{sizedCloud: sizedCloud{byCPUs: map[string][]api.Placement{"2": {two},
		"8": {eight}}}}}
	a := &Activities{Clouds: activities.Clouds{Others: c}, Deadlines: activities.Deadlines{Query: time.Minute}}
	spec := api.ClusterSpec{Cloud: "sim", ControlPlane: api.ControlPlane{Replicas: 1,
		Machine: api.MachineSpec{CPUs: "2"}}, Pools: []api.Pool{{Name: "alike", Replicas: 3,
		Machine: api.MachineSpec{CPUs: "2"}}, {Name: "big", Replicas: 2, Machine: api.MachineSpec{CPUs: "8"}}}}
	for want, in := range map[string]operation.PlanInput{
		"5 machines, 10 CPUs": {Spec: api.GroupSpec{Cloud: "sim", CPUs: "2", NumNodes: 5}},
		"6 machines, 24 CPUs": {Spec: spec.ControlPlaneGroup(), Cluster: &spec},
	} {
		got, err := a.CheckSpec(t.Context(), in)
		if err != nil || len(got.Warnings) != 1 || got.Warnings[0].Message != want {
			t.Errorf("%v: %+v, want %s", err, got.Warnings, want)
		}
	}
}
