package api

import (
	"fmt"
	"strings"
)

// DescribeOutdated says in which fields a worker's machine spec differs from that of its pool: "cpus is 2+, should be
// 4+". It is empty if they are the same, and for a server, whose spec never changes. max_hourly_cost does not count: it
// bounds the price of a launch.
func (s ClusterSpec) DescribeOutdated(m Machine) string {
	if m.Spec == nil || m.Role == RoleHead {
		return ""
	}
	p := s.FindPool(m.PoolName())
	if p == nil {
		return ""
	}
	return s.describeMachineSpecChange(*m.Spec, p.Machine)
}

// IsSameMachineSpec reports whether two machine specs request the same machines.
func (s ClusterSpec) IsSameMachineSpec(a, b MachineSpec) bool {
	return s.describeMachineSpecChange(a, b) == ""
}

func (s ClusterSpec) describeMachineSpecChange(is, wanted MachineSpec) string {
	is.MaxHourlyCost = wanted.MaxHourlyCost
	if is == wanted {
		return ""
	}
	before, after := s.newGroup(is, 1), s.newGroup(wanted, 1)
	before.SetDefaults()
	after.SetDefaults()
	var c comparison
	for _, f := range Fields {
		if f.IsOfMachines() {
			c.compareField(f, f.Name, before, after, f.Change)
		}
	}
	var parts []string
	for _, d := range c.found {
		parts = append(parts, fmt.Sprintf("%s is %s, should be %s", d.Path, valueOrUnset(d.Before),
			valueOrUnset(d.After)))
	}
	return strings.Join(parts, "; ")
}

// SetWanted records on a machine that is reserved now with which machine spec its placement was chosen, and what its
// Node gets. If spec is nil, it is that of the machine's pool.
func (c *Cluster) SetWanted(m *Machine, spec *MachineSpec) {
	of := c.Spec.MachineSpecOf(*m)
	if spec != nil {
		of = *spec
	}
	m.Spec = &of
	settings := c.NodeSettings(*m)
	m.Node = &settings
}

// SpecOfSuccessor returns the machine spec of the machine that follows another one in the same placement: that of its
// pool if it requests the same machines, and that of the earlier one otherwise, because the placement was chosen for
// it.
func (s ClusterSpec) SpecOfSuccessor(old Machine) MachineSpec {
	was := s.MachineSpecOf(old)
	wanted := old
	wanted.Spec = nil
	if is := s.MachineSpecOf(wanted); s.IsSameMachineSpec(was, is) {
		return is
	}
	return was
}
