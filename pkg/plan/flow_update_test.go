package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// ownLabel is a label that skyctl does not know.
const ownLabel = "example.com/own"

func (f *flow) newMachineSpec() api.MachineSpec {
	return api.MachineSpec{CPUs: []string{"2+", "4+", "8+"}[f.r.IntN(3)]}
}

func (f *flow) newLabels() map[string]string {
	labels := map[string]string{}
	for _, key := range []string{"tier", "team"} {
		if f.chance(0.4) {
			labels[key] = []string{"low", "high"}[f.r.IntN(2)]
		}
	}
	return labels
}

// registerNodes gives the Nodes that are there what is wanted. Records of older versions do not say so.
func (f *flow) registerNodes(older bool) {
	for _, name := range f.registered {
		m := f.recordOf(name)
		if !older {
			f.c.SetWanted(m, nil)
		}
		f.nodes[m.NodeName].settings = f.registeredSettings(name)
		f.machines[name].launchedWith = f.c.Spec.MachineSpecOf(*m)
	}
}

// changeMachinesAndNodes changes what a file may say of a pool and of the cluster's labels.
func (f *flow) changeMachinesAndNodes() {
	spec, labels := f.c.Spec.Clone(), f.c.Metadata.Labels
	p := &spec.Pools[f.r.IntN(len(spec.Pools))]
	switch f.r.IntN(4) {
	case 0, 1:
		p.Machine = f.newMachineSpec()
	case 2:
		p.Labels, p.Taints = f.newLabels(), nil
		if f.chance(0.5) {
			p.Taints = []string{"reserved=yes:NoSchedule"}
		}
	case 3:
		labels = f.newLabels()
	}
	if err := f.c.ChangeTo(spec, labels, f.now); err != nil {
		panic(err)
	}
}

// planPool returns the machine spec for which an action that reserves a machine chooses its placement as it starts.
func (f *flow) planPool(a api.Action) *api.MachineSpec {
	p := f.c.Spec.FindPool(a.Pool)
	m := f.recordOf(a.Machine)
	if p == nil || a.Kind != api.ActionAddMachines &&
		(a.Kind != api.ActionReplace || f.c.Spec.DescribeOutdated(*m) == "") {
		return nil
	}
	planned := p.Machine
	return &planned
}

func (f *flow) leaveReason(m *api.Machine) api.LeaveReason {
	if !m.WasBroughtUp() && f.c.Spec.DescribeOutdated(*m) != "" {
		return api.LeaveOutdated
	}
	return api.LeaveScaledDown
}

// registeredSettings is what a machine's Node has once it registers: what RKE2's configuration says, and a label of
// somebody else.
func (s *sim) registeredSettings(name string) api.NodeSettings {
	given := s.c.GivenNodeSettings(*s.recordOf(name))
	labels := maps.Clone(given.Labels)
	labels[ownLabel] = ""
	return api.NodeSettings{Labels: labels, Taints: given.Taints}
}

// updateNode does what the activity does. It may be cut off before it has written the record.
func (s *sim) updateNode(name string, recorded bool) string {
	r := s.recordOf(name)
	node := s.nodes[r.NodeName]
	if node == nil || !s.serves() {
		return "the API does not answer"
	}
	given, wanted := s.c.BeginNodeUpdate(r)
	labels := maps.Clone(node.settings.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key := range given.Labels {
		delete(labels, key)
	}
	maps.Copy(labels, wanted.Labels)
	node.settings = api.NodeSettings{Labels: labels, Taints: wanted.Taints}
	if recorded {
		r.EndNodeUpdate(wanted)
	}
	return ""
}

// TestUpdateThatWasCutOffCanBeCalledOff changes a pool back before an update that has reached the Node is recorded.
func TestUpdateThatWasCutOffCanBeCalledOff(t *testing.T) {
	for seed := range uint64(20) {
		f := newFlow(seed)
		f.fails, f.crashes = 0, 0
		if _, err := f.run(0, 2000); err != nil {
			t.Fatal(err)
		}
		m := f.worker()
		if m == nil {
			continue
		}
		before, spec := f.c.Spec.Clone(), f.c.Spec.Clone()
		for i := range spec.Pools {
			spec.Pools[i].Labels, spec.Pools[i].Taints = map[string]string{"new": "1"}, []string{"new:NoSchedule"}
		}
		f.changeTo(spec)
		if failed := f.updateNode(m.Name, false); failed != "" {
			t.Fatal(failed)
		}
		f.changeTo(before)
		if _, err := f.run(0, 2000); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func (f *flow) changeTo(spec api.ClusterSpec) {
	if err := f.c.ChangeTo(spec, f.c.Metadata.Labels, f.now); err != nil {
		panic(err)
	}
	f.c.Metadata.Generation++
}

// checkUpdates returns an error if nothing has changed and something is planned.
func (f *flow) checkUpdates() error {
	for i := range 3 {
		d, err := f.step()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(d.Actions, func(a api.Action) bool { return a.Kind != api.ActionDisarm }) {
			return fmt.Errorf("in round %d after the end: %s", i, actions(d))
		}
	}
	return nil
}
