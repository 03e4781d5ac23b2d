package integration

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
)

func TestClustersOfTheVersionBeforeCanBeScaled(t *testing.T) {
	s := openFormerState(t)
	before := s.listed()
	had := s.cloud.ExistingMachines("")
	// The create and the repair of the version before are under way.
	creating := s.scale(clusterRef(before, "creating"), 5)
	repairing := s.scale(clusterRef(before, "repairing"), 4)
	s.begin()
	s.awaitScaled(creating)
	s.awaitScaled(repairing)
	for _, ref := range []api.Ref{creating.Ref(), repairing.Ref()} {
		s.checkSameMachines(ref, had)
	}

	changes := map[string][]int{"one": {2, 1}, "three": {5, 2}, "mendable": {3}}
	for name, sizes := range changes {
		for _, n := range sizes {
			s.awaitScaled(s.scale(clusterRef(before, name), n))
		}
	}
	launched := len(had) + 1 + // the create had not launched its last machine
		1 + 1 + // what the create and the repair were to add
		1 + 2 + 1
	if n := s.cloud.CountLaunches("", ""); n != launched {
		t.Errorf("%d machines were launched, want %d", n, launched)
	}
	s.deleteAll()
}

// scale changes the number of a cluster's machines as skyctl does.
func (s *state) scale(ref api.Ref, machines int) *api.Cluster {
	s.t.Helper()
	r, err := s.ops.ChangeSpec(s.t.Context(), s.get(ref), func(c *api.Cluster) error {
		return c.Spec.ScaleTo(machines)
	})
	if err != nil || r.Unstarted != nil || !r.Changed {
		s.t.Fatalf("scale %s to %d machines: %v, %+v", ref.Name, machines, err, r)
	}
	return r.Cluster
}

// awaitScaled waits until a cluster has reached a changed spec, and checks that the cloud has exactly its machines.
func (s *state) awaitScaled(changed *api.Cluster) {
	s.t.Helper()
	name := changed.Metadata.Name
	c, err := s.ops.AwaitChange(s.t.Context(), changed, client.Goal{Name: "scaled"}, patience, func(client.Progress) {})
	if err != nil {
		now := s.get(changed.Ref()).Status
		s.t.Fatalf("%s was not scaled: %v; repairs %+v, drift %+v, operation %+v", name, err, now.Repairs, now.Drift,
			now.Operation)
	}
	there := map[string]bool{}
	for _, m := range s.cloud.ExistingMachines("sky-" + name + "-") {
		there[m.ID] = true
	}
	if n := changed.Spec.MachineCount(); c.Status.Phase != api.PhaseReady || len(there) != n ||
		len(c.Status.Machines) != n {
		s.t.Errorf("%s: %s, %d machines on record and %d on the cloud, want %d", name, c.Status.Phase,
			len(c.Status.Machines), len(there), n)
	}
	for _, m := range c.Status.Machines {
		if m.State != api.MachineReady || !there[m.CloudID] {
			s.t.Errorf("%s of incarnation %s is %s, on the cloud: %v", m.Name, m.Incarnation, m.State, there[m.CloudID])
		}
	}
}
