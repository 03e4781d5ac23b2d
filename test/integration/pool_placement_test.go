package integration

import (
	"fmt"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// typed is a placement in region here with an instance type of its own.
func typed(instance string) api.Placement {
	p := here
	p.InstanceType = instance
	return p
}

// A region without room for a machine of a pool has other placements; another region is never one.
func TestAddedMachineWithoutRoomGoesToTheNextTypeInItsRegion(t *testing.T) {
	w := newWorld(t, here, there, typed("s4"), typed("s8"))
	ref := w.create("roomy", 1, client.CreateOptions{})
	w.awaitReady(ref)
	// The simulated cloud refuses in the order of the tries: here, then s4, each once.
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: "sky-roomy-1", Times: 1,
		Err: simcloud.NewRefusal(cloud.Capacity)})
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-roomy-1", Times: 1,
		Err: simcloud.NewRefusal(cloud.Quota)})
	changed, err := w.ops.ChangeSpec(t.Context(), w.get(ref), func(c *api.Cluster) error {
		return c.Spec.ScalePool(api.DefaultPool, 2)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ops.AwaitChange(t.Context(), changed.Cluster, client.Goal{}, patience,
		func(client.Progress) {}); err != nil {
		t.Fatal(err)
	}
	c := w.get(ref)
	var types []string
	for _, m := range c.Status.Machines {
		types = append(types, fmt.Sprint(m.Index, m.Placement.Region, " ", m.Placement.InstanceType))
	}
	if got := fmt.Sprint(types); got != "[0here s2 1here s8 2here s2]" {
		t.Errorf("machines %s", got)
	}
	status := c.Status.FindPoolStatus(api.DefaultPool)
	if status == nil || len(status.Attempts) != 2 || status.Attempts[0].Reason != string(cloud.Capacity) ||
		status.Attempts[1].Placement.InstanceType != "s4" || status.Attempts[1].Reason != string(cloud.Quota) {
		t.Errorf("attempts %+v", status)
	}
	w.healthy(ref, 3)
}
