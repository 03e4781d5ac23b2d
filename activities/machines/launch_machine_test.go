package machines

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newLaunchWorld returns a cluster with a pool and its SSH key.
func newLaunchWorld(t *testing.T, pool api.Pool) (*Activities, api.Ref) {
	t.Helper()
	a, ref := newPoolWorld(t, &rankedCloud{}, pool)
	if _, err := a.Store.EnsureInstallationID(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Pool = remote.NewPool(0)
	t.Cleanup(a.Pool.Close)
	key, _, err := remote.NewKeyPair()
	if err == nil {
		err = a.Store.PutSecret(t.Context(), ref, store.SecretSSHKey, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, ref
}

func TestNewMachineIsReachedThroughTheBastionOfTheCluster(t *testing.T) {
	a, ref := newLaunchWorld(t, api.Pool{Name: "gpu", Replicas: 1})
	m := api.NewMachine("a", 1, "gpu", "bcdfg", zone("a"), time.Now())
	if err := a.Store.PutMachines(t.Context(), ref, []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	for jump, through := range map[string]bool{"": false, "none": false, "jump@192.0.2.1:22": true} {
		if _, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
			c.Spec.SSH = api.SSHAccess{ProxyJump: jump}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, req, err := a.newLaunchRequest(t.Context(), activities.MachineRefOf(ref, m))
		if err != nil {
			t.Fatal(err)
		}
		if got := req.FindRoute(cloud.Machine{Address: "192.0.2.7", SSHPort: 22}) != nil; got != through {
			t.Errorf("%q: through a bastion: %t", jump, got)
		}
	}
}

func TestMachineAtTheFullPriceIsNotRequestedAsSpot(t *testing.T) {
	pool := api.Pool{Name: "gpu", Replicas: 2, Machine: api.MachineSpec{UseSpot: true, CPUs: "8"}}
	a, ref := newLaunchWorld(t, pool)
	spot, full := zone("a"), zone("a")
	full.OnDemand = true
	for index, placement := range []api.Placement{spot, full} {
		m := api.NewMachine("a", index+1, "gpu", "bcdfg", placement, time.Now())
		if err := a.Store.PutMachines(t.Context(), ref, []api.Machine{m}); err != nil {
			t.Fatal(err)
		}
		_, req, err := a.newLaunchRequest(t.Context(), activities.MachineRefOf(ref, m))
		if err != nil {
			t.Fatal(err)
		}
		if req.Spec.UseSpot == placement.OnDemand || req.Spec.CPUs != "8" || req.Placement != placement {
			t.Errorf("on demand %t: it requests %+v", placement.OnDemand, req.Spec)
		}
	}
}
