package store_test

import (
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// newCountedWorld returns a world that counts the traffic of its store.
func newCountedWorld(t testing.TB) (world, *etcdserver.Traffic) {
	t.Helper()
	w := newWorld(t)
	c, n := etcdserver.NewCountedClient(t, shared)
	w.Store = store.New(c, w.prefix, testKey("a"))
	return w, n
}

func machineIndexes(c *api.Cluster) []int {
	var all []int
	for _, m := range c.Status.Machines {
		all = append(all, m.Index)
	}
	return all
}

func TestPartOfClusterCostsTheSameHoweverManyMachines(t *testing.T) {
	w, n := newCountedWorld(t)
	for _, count := range []int{3, 300} {
		ref := w.created(t, "a", "u1")
		must(t, w.PutMachines(t.Context(), ref, machines("a", count, "aaaaa")))
		_, err := w.ReadClusterPart(t.Context(), ref, 1)
		must(t, err)
		n.Reset()
		c, err := w.ReadClusterPart(t.Context(), ref, 2)
		must(t, err)
		if got := machineIndexes(c); !slices.Equal(got, []int{0, 2}) || c.Status.Machines[0].Role != api.RoleHead {
			t.Errorf("of %d machines: %v", count, got)
		}
		if calls, received := n.Calls(), n.Received(); calls != 1 || received > 2000 {
			t.Errorf("of %d machines: %d calls, %d bytes received", count, calls, received)
		}
		must(t, w.DeleteCluster(t.Context(), ref))
	}
}

func TestPartOfClusterFollowsItsControlPlane(t *testing.T) {
	w := newWorld(t)
	ref := w.created(t, "a", "u1")
	read := func(want ...int) {
		t.Helper()
		c, err := w.ReadClusterPart(t.Context(), ref, 1)
		must(t, err)
		if got := machineIndexes(c); !slices.Equal(got, want) {
			t.Errorf("machines %v, want %v", got, want)
		}
	}
	read() // nothing is recorded yet
	head := machine("a", 3, "aaaaa")
	head.Role = api.RoleHead
	worker := machine("a", 1, "aaaaa")
	must(t, w.PutMachines(t.Context(), ref, []api.Machine{worker, head}))
	read(1, 3)
	second := machine("a", 7, "aaaaa")
	second.Role = api.RoleHead
	must(t, w.PutMachines(t.Context(), ref, []api.Machine{machine("a", 6, "aaaaa"), second}))
	read(1, 3, 7)
	_, err := w.etcd.Delete(t.Context(), w.prefix+"/machines/u1/0003")
	must(t, err)
	read(1, 7)
	_, err = w.ReadClusterPart(t.Context(), api.Ref{Name: "a", UID: "u2"}, 1)
	wantErr[*store.NotFoundError](t, err)
	must(t, w.DeleteCluster(t.Context(), ref))
	_, err = w.ReadClusterPart(t.Context(), ref, 1)
	wantErr[*store.NotFoundError](t, err)
}

func TestPartOfClusterHasNoDriftAndRepairs(t *testing.T) {
	w := newWorld(t)
	ref := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), ref, machines("a", 2, "aaaaa")))
	_, err := w.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
		c.Status.Drift = []api.Drift{{Reason: api.DriftMachineMissing, Message: `of pool "a}"`}}
		c.Status.Repairs = []api.Repair{{ID: "1"}}
		c.Status.Endpoint = "https://192.0.2.1:6443"
		return nil
	})
	must(t, err)
	for range 2 { // the first time, it reads the whole cluster
		c, err := w.ReadClusterPart(t.Context(), ref, 1)
		must(t, err)
		if len(c.Status.Drift)+len(c.Status.Repairs) > 0 || c.Status.Endpoint != "https://192.0.2.1:6443" ||
			len(c.Status.Machines) != 2 || c.Metadata.Revision == 0 {
			t.Errorf("read %+v", c)
		}
	}
	_, err = w.etcd.Put(t.Context(), w.prefix+"/clusters/a", `{"status": {"drift": [}`)
	must(t, err)
	_, err = w.ReadClusterPart(t.Context(), ref, 1)
	wantErr[*store.CorruptError](t, err)
}
