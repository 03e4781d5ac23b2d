package record

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

func TestReserveMakesFewRequestsHoweverManyMachines(t *testing.T) {
	client, traffic := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/reserve", make([]byte, 32)), Now: time.Now}
	calls := map[int]int64{}
	for _, count := range []int{3, 250} {
		spec := api.GroupSpec{Cloud: "docker", NumNodes: count, Provision: true}
		c, err := a.Store.CreateCluster(t.Context(), api.NewCluster("a", "u1", spec, nil, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		traffic.Reset()
		reserved, err := a.Reserve(t.Context(),
			ReserveInput{Cluster: c.Ref(), Placement: api.Placement{Cloud: "docker"}})
		if err != nil || len(reserved) != count {
			t.Fatalf("%d of %d machines: %v", len(reserved), count, err)
		}
		calls[count] = traffic.Calls()
		usable, err := a.Store.ListUsableSecrets(t.Context(), c.Ref())
		if err != nil || len(usable) != count+2 {
			t.Errorf("%d secrets of %d machines: %v", len(usable), count, err)
		}
		if err := a.Store.DeleteCluster(t.Context(), c.Ref()); err != nil {
			t.Fatal(err)
		}
	}
	if calls[250] > calls[3] {
		t.Errorf("requests by machines: %v", calls)
	}
}

func TestPoolsGetTheLowestFreeIndexes(t *testing.T) {
	spec := api.ClusterSpec{ControlPlane: api.ControlPlane{Replicas: 1},
		Pools: []api.Pool{{Name: api.DefaultPool, Replicas: 2}, {Name: "gpu", Replicas: 1}}}
	machine := func(index int, pool string, state api.MachineState) api.Machine {
		m := api.NewMachine("a", index, pool, "bcdfg", here, time.Now())
		m.State = state
		return m
	}
	for name, test := range map[string]struct {
		have []api.Machine
		want string
	}{
		"a new cluster": {nil, "map[0: 1:default 2:default 3:gpu]"},
		"again": {[]api.Machine{machine(0, "", api.MachineReady), machine(1, api.DefaultPool, api.MachineGone),
			machine(2, api.DefaultPool, api.MachineUp), machine(3, "gpu", api.MachineReserved)},
			"map[0: 1:default 2:default 3:gpu]"},
		"kept machines of another order": {[]api.Machine{machine(0, "", api.MachineReady),
			machine(1, "gpu", api.MachineUp), machine(3, api.DefaultPool, api.MachineUp)},
			"map[0: 1:gpu 2:default 3:default]"},
		"kept machines that are no longer wanted": {[]api.Machine{machine(0, "", api.MachineReady),
			machine(1, "old", api.MachineUp), machine(2, "gpu", api.MachineUp), machine(3, "gpu", api.MachineUp)},
			"map[0: 2:gpu 4:default 5:default]"},
	} {
		if got := fmt.Sprint(poolsByIndex(spec, test.have)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestReserveGivesEachMachineThePlacementOfItsPool(t *testing.T) {
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster("a", "u1", api.GroupSpec{Cloud: "sim", NumNodes: 2, Provision: true}, nil, time.Now())
	c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "gpu", Replicas: 1})
	if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	small, large, larger := api.Placement{Cloud: "sim", InstanceType: "s"},
		api.Placement{Cloud: "sim", InstanceType: "l"}, api.Placement{Cloud: "sim", InstanceType: "xl"}
	reserve := func(gpu api.Placement) map[int]string {
		t.Helper()
		refs, err := a.Reserve(t.Context(), ReserveInput{Cluster: c.Ref(), Placement: small,
			Pools: []api.PoolPlacement{{Pool: "gpu", Placement: gpu}}})
		if err != nil || len(refs) != 3 {
			t.Fatalf("%d machines: %v", len(refs), err)
		}
		stored, err := a.Store.ReadCluster(t.Context(), "a")
		if err != nil || *stored.Status.Placement != small || stored.Status.NextIndex != 3 {
			t.Fatalf("%v: %+v", err, stored.Status)
		}
		types := map[int]string{}
		for _, m := range stored.Status.Machines {
			types[m.Index] = m.PoolName() + " " + m.Placement.InstanceType
		}
		return types
	}
	for _, gpu := range []api.Placement{large, large, larger} {
		want := map[int]string{0: " s", 1: "default s", 2: "gpu " + gpu.InstanceType}
		if got := reserve(gpu); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	stored, err := a.Store.ReadCluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range stored.Status.Machines {
		m.State = api.MachineUp
		if err := a.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
			t.Fatal(err)
		}
	}
	stored, err = a.Store.ReadCluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	kept := placementsOfPools(stored.Status.Placement, stored.Status.Machines)
	if !slices.Equal(kept, []api.PoolPlacement{{Pool: "gpu", Placement: larger}}) {
		t.Errorf("kept placements: %+v", kept)
	}
}

func TestReserveLeavesOutMachinesThatAreNoLongerWanted(t *testing.T) {
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster("a", "u1", api.GroupSpec{Cloud: "sim", NumNodes: 4, Provision: true}, nil, time.Now())
	if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	in := ReserveInput{Cluster: c.Ref(), Placement: here}
	if _, err := a.Reserve(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		return c.Spec.ScalePool(api.DefaultPool, 1)
	}); err != nil {
		t.Fatal(err)
	}
	refs, err := a.Reserve(t.Context(), in)
	if err != nil || !slices.Equal(indexesOf(refs), []int{0, 1}) {
		t.Errorf("%v: reserved %v", err, indexesOf(refs))
	}
}

func TestReserveUsesUpIndexesThatAGrownSpecNeeds(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 3) // its next index counts no machine of pool gpu
	if _, err := a.Reserve(t.Context(), ReserveInput{Cluster: ref, Placement: here}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		return c.Spec.ScalePool("gpu", 4)
	}); err != nil {
		t.Fatal(err)
	}
	added, err := addMachines(t, a, ref, "gpu")
	if err != nil || !slices.Equal(indexesOf(added), []int{4}) {
		t.Errorf("%v: added %v", err, indexesOf(added))
	}
}
