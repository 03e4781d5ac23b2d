package api_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

type labelMap = map[string]string

func TestChangeOfNodeSettingsIsDescribed(t *testing.T) {
	for name, tt := range map[string]struct {
		is, wanted    api.NodeSettings
		want, missing string
	}{
		"the same": {api.NodeSettings{Labels: labelMap{"a": "1"}, Taints: []string{"x:NoSchedule", "y:NoExecute"}},
			api.NodeSettings{Labels: labelMap{"a": "1"}, Taints: []string{"y:NoExecute", "x=:NoSchedule"}}, "", ""},
		"none": {api.NodeSettings{}, api.NodeSettings{Labels: labelMap{}}, "", ""},
		"another value": {api.NodeSettings{Labels: labelMap{"a": "1"}}, api.NodeSettings{Labels: labelMap{"a": "2"}},
			"label a is 1, should be 2", "its Node has label a=1, should have 2"},
		"an empty value": {api.NodeSettings{}, api.NodeSettings{Labels: labelMap{"a": ""}},
			`label a is unset, should be ""`, `its Node has label a=unset, should have ""`},
		"a label too many": {api.NodeSettings{Labels: labelMap{"a": ""}}, api.NodeSettings{},
			`label a is "", should be unset`, ""},
		"a taint too many": {api.NodeSettings{Taints: []string{"x=1:NoSchedule"}}, api.NodeSettings{},
			"taint x=1:NoSchedule should be removed", ""},
		"another effect": {api.NodeSettings{Taints: []string{"x=1:NoSchedule"}},
			api.NodeSettings{Taints: []string{"x=1:NoExecute"}},
			"taint x=1:NoSchedule should be removed; taint x=1:NoExecute should be set",
			"its Node lacks the taint x=1:NoExecute"},
	} {
		if got := tt.is.DescribeChange(tt.wanted); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if got := tt.wanted.DescribeMissing(tt.is.Labels, tt.is.Taints); got != tt.missing {
			t.Errorf("%s: missing %q, want %q", name, got, tt.missing)
		}
	}
}

// TestSwitchOfTheGPUTaintChangesNodes switches gpu_taint on clusters whose records have their Node settings, and on one
// of an older version, whose records have none.
func TestSwitchOfTheGPUTaintChangesNodes(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		for _, on := range []bool{true, false} {
			c := changeable()
			c.Spec.Pools[1].Machine, c.Spec.GPUStack = api.MachineSpec{Accelerators: "A100:1"}, api.GPUStackOperator
			c.Spec.GPUTaint = !on
			if recorded {
				for i := range c.Status.Machines {
					c.SetWanted(&c.Status.Machines[i], nil)
				}
			}
			spec := c.Spec.Clone()
			spec.GPUTaint = on
			if err := c.ChangeTo(spec, c.Metadata.Labels, time.Unix(2, 0)); err != nil {
				t.Fatal(err)
			}
			for _, m := range c.Status.Machines {
				given, wanted := c.GivenNodeSettings(m), c.NodeSettings(m)
				isGPU := m.Pool == "big"
				if had, has := slices.Contains(given.Taints, api.GPUTaint), slices.Contains(wanted.Taints,
					api.GPUTaint); had != (isGPU && !on) || has != (isGPU && on) {
					t.Errorf("recorded %v, on %v: %s had the taint: %v, gets it: %v", recorded, on, m.Name, had, has)
				}
			}
			if c.IsReachedBy(c.Status.Machines) {
				t.Errorf("recorded %v, on %v: it is reached before the Nodes change", recorded, on)
			}
		}
	}
}

func TestPoolThatHasTheGPUTaintItselfKeepsIt(t *testing.T) {
	c := changeable()
	c.Spec.Pools[1].Machine, c.Spec.GPUStack = api.MachineSpec{Accelerators: "A100:1"}, api.GPUStackOperator
	c.Spec.Pools[1].Taints, c.Spec.GPUTaint = []string{"nvidia.com/gpu=mine:NoSchedule"}, true
	got := c.NodeSettings(c.Status.Machines[3])
	if !slices.Equal(got.Taints, c.Spec.Pools[1].Taints) {
		t.Errorf("taints %v", got.Taints)
	}
}

func TestClusterIsReachedOnceNodesHaveTheirSettings(t *testing.T) {
	c := changeable()
	for i := range c.Status.Machines {
		c.SetWanted(&c.Status.Machines[i], nil)
	}
	if !c.IsReachedBy(c.Status.Machines) {
		t.Error("nothing differs")
	}
	settings := c.NodeSettings(c.Status.Machines[1])
	settings.Labels = maps.Clone(settings.Labels)
	settings.Labels["old"] = "1"
	c.Status.Machines[1].Node = &settings
	if c.IsReachedBy(c.Status.Machines) {
		t.Error("a Node has a label that is not wanted")
	}
}

func TestUpdateOfANodeThatWasCutOffIsKnown(t *testing.T) {
	c := changeable()
	m := &c.Status.Machines[1]
	c.SetWanted(m, nil)
	pool := &c.Spec.Pools[0]
	if _, _ = c.BeginNodeUpdate(m); m.NodeTried != nil {
		t.Error("nothing differs, and the record changes")
	}
	pool.Labels, pool.Taints = labelMap{"a": "1"}, []string{"x=1:NoSchedule"}
	c.BeginNodeUpdate(m)
	if c.DescribeNodeChange(*m) == "" {
		t.Error("an update that has begun counts as done")
	}
	pool.Labels, pool.Taints = labelMap{"b": "1"}, []string{"x=2:NoSchedule"}
	c.BeginNodeUpdate(m)
	pool.Labels, pool.Taints = nil, nil
	if c.DescribeNodeChange(*m) == "" || c.IsReachedBy(c.Status.Machines) {
		t.Error("what is wanted is what it had before, but it may have got something else")
	}
	given, wanted := c.BeginNodeUpdate(m)
	if given.Labels["a"] != "1" || given.Labels["b"] != "1" ||
		!slices.Equal(given.Taints, []string{"x=2:NoSchedule"}) ||
		len(wanted.Taints) > 0 {
		t.Errorf("given %+v, wanted %+v", given, wanted)
	}
	m.EndNodeUpdate(wanted)
	if m.NodeTried != nil || c.DescribeNodeChange(*m) != "" {
		t.Errorf("%+v", m)
	}
}
