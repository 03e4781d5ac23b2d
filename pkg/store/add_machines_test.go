package store_test

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestOverlappingAddMachinesSeeEachOther(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	calls := 0
	add := func(incarnation string, during func()) ([]api.Machine, error) {
		return w.AddMachines(t.Context(), r, func(c *api.Cluster) ([]api.Machine, error) {
			calls++
			during()
			if len(c.Status.Machines) > 0 {
				return nil, nil
			}
			return []api.Machine{machine("a", c.Status.NextIndex, incarnation)}, nil
		})
	}
	nested := false
	added, err := add("bbbbb", func() {
		if nested {
			return
		}
		nested = true
		other, err := add("ccccc", func() {}) // after the first call has read the cluster
		must(t, err)
		if len(other) != 1 {
			t.Errorf("the other call added %+v", other)
		}
	})
	must(t, err)
	if len(added) != 0 || calls != 3 {
		t.Errorf("it added %+v in %d calls", added, calls)
	}
	c, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if len(c.Status.Machines) != 1 || c.Status.Machines[0].Incarnation != "ccccc" {
		t.Errorf("machines %+v", c.Status.Machines)
	}
}
