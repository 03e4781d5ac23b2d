package machines

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestMachineAtTheFullPriceIsNotRequestedAsSpot(t *testing.T) {
	pool := api.Pool{Name: "gpu", Replicas: 2, Machine: api.MachineSpec{UseSpot: true, CPUs: "8"}}
	a, ref := newPoolWorld(t, &rankedCloud{}, pool)
	if _, err := a.Store.EnsureInstallationID(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, _, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Store.PutSecret(t.Context(), ref, store.SecretSSHKey, key); err != nil {
		t.Fatal(err)
	}
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
