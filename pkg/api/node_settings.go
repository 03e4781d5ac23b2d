package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// GPUTaint is the taint of workers with accelerators if gpu_taint is set. NVIDIA's software tolerates it.
const GPUTaint = "nvidia.com/gpu=present:NoSchedule"

// NodeSettings returns the labels and taints that a machine's Node should have: those of its pool, the labels of the
// cluster whose keys people may set on Nodes, and GPUTaint if the cluster asks for it. Labels of the pool come first. A
// server has no taints: the cluster's own pods run there.
func (c *Cluster) NodeSettings(m Machine) NodeSettings {
	settings := c.poolNodeSettings(m)
	for key, value := range c.Metadata.Labels {
		if _, ofPool := settings.Labels[key]; !ofPool && checkPoolLabel(key, value) == "" {
			settings.Labels[key] = value
		}
	}
	return settings
}

// GivenNodeSettings returns what skyctl has given a machine's Node. Versions that did not record it did not set the
// labels of the cluster.
func (c *Cluster) GivenNodeSettings(m Machine) NodeSettings {
	if m.Node != nil {
		return *m.Node
	}
	return c.poolNodeSettings(m)
}

// DescribeNodeChange says what of a machine's Node has to change by the records; empty if nothing.
func (c *Cluster) DescribeNodeChange(m Machine) string {
	wanted := c.NodeSettings(m)
	why := c.GivenNodeSettings(m).DescribeChange(wanted)
	if why == "" && m.NodeTried != nil {
		why = cmp.Or(m.NodeTried.DescribeChange(wanted), "an update of its Node did not end")
	}
	return why
}

// BeginNodeUpdate records on a machine what its Node may have from now on, so that an update that is cut off can be
// repeated, or undone if something else is wanted by then. It returns what the Node may have, and what it is to have.
func (c *Cluster) BeginNodeUpdate(m *Machine) (given, wanted NodeSettings) {
	given, wanted = c.GivenNodeSettings(*m), c.NodeSettings(*m)
	if c.DescribeNodeChange(*m) == "" {
		return given, wanted
	}
	tried := wanted
	if m.NodeTried != nil {
		given, tried = given.mergeSettings(*m.NodeTried), m.NodeTried.mergeSettings(wanted)
	}
	m.NodeTried = &tried
	return given, wanted
}

// EndNodeUpdate records that a machine's Node has the settings that BeginNodeUpdate returned.
func (m *Machine) EndNodeUpdate(wanted NodeSettings) { m.Node, m.NodeTried = &wanted, nil }

// mergeSettings returns the settings of both. Of a label's two values, and of two taints with the same key and effect,
// it takes the other one's.
func (s NodeSettings) mergeSettings(other NodeSettings) NodeSettings {
	merged := NodeSettings{Labels: map[string]string{}, Taints: slices.Clone(other.Taints)}
	maps.Copy(merged.Labels, s.Labels)
	maps.Copy(merged.Labels, other.Labels)
	for _, t := range s.Taints {
		if !slices.ContainsFunc(merged.Taints, func(o string) bool { return taintIdentity(o) == taintIdentity(t) }) {
			merged.Taints = append(merged.Taints, t)
		}
	}
	return merged
}

func (c *Cluster) poolNodeSettings(m Machine) NodeSettings {
	settings := NodeSettings{Labels: map[string]string{}}
	name := m.PoolName()
	if name == "" {
		return settings
	}
	if p := c.Spec.FindPool(name); p != nil {
		maps.Copy(settings.Labels, p.Labels)
		settings.Taints = slices.Clone(p.Taints)
	}
	settings.Labels[NodeLabelPool] = name
	if c.Spec.GPUTaint && c.Spec.ManagesGPUs() && c.Spec.AcceleratorsOf(m).Count > 0 &&
		!slices.ContainsFunc(settings.Taints,
			func(t string) bool { return taintIdentity(t) == taintIdentity(GPUTaint) }) {
		settings.Taints = append(settings.Taints, GPUTaint)
	}
	return settings
}

// taintIdentity is what the taints of a Node differ in: key and effect.
func taintIdentity(text string) string {
	rest, effect, _ := strings.Cut(text, ":")
	key, _, _ := strings.Cut(rest, "=")
	return key + ":" + effect
}

// normalTaint is a taint in its normal form: without "=" if it has no value.
func normalTaint(text string) string { return strings.Replace(text, "=:", ":", 1) }

// DescribeChange says what has to change for a Node to get other settings; empty if they are the same.
func (s NodeSettings) DescribeChange(wanted NodeSettings) string {
	var parts []string
	keys := slices.AppendSeq(slices.Collect(maps.Keys(s.Labels)), maps.Keys(wanted.Labels))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		was, had := s.Labels[key]
		is, has := wanted.Labels[key]
		if had != has || was != is {
			parts = append(parts, fmt.Sprintf("label %s is %s, should be %s", key, valueOrUnset(quoteLabel(was, had)),
				valueOrUnset(quoteLabel(is, has))))
		}
	}
	for _, t := range s.Taints {
		if !hasTaint(wanted.Taints, t) {
			parts = append(parts, "taint "+t+" should be removed")
		}
	}
	for _, t := range wanted.Taints {
		if !hasTaint(s.Taints, t) {
			parts = append(parts, "taint "+t+" should be set")
		}
	}
	return strings.Join(parts, "; ")
}

// DescribeMissing says what of the settings a Node with these labels and taints lacks; empty if it has all.
func (s NodeSettings) DescribeMissing(labels map[string]string, taints []string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if is, has := labels[key]; !has || is != s.Labels[key] {
			parts = append(parts, fmt.Sprintf("its Node has label %s=%s, should have %s", key,
				valueOrUnset(quoteLabel(is, has)), valueOrUnset(quoteLabel(s.Labels[key], true))))
		}
	}
	for _, t := range s.Taints {
		if !hasTaint(taints, t) {
			parts = append(parts, "its Node lacks the taint "+t)
		}
	}
	return strings.Join(parts, "; ")
}

func hasTaint(taints []string, wanted string) bool {
	return slices.ContainsFunc(taints, func(t string) bool { return normalTaint(t) == normalTaint(wanted) })
}

// IsReachedBy reports whether the recorded machines are those that the cluster requests, Ready, and their Nodes have
// got the wanted labels and taints.
func (c *Cluster) IsReachedBy(machines []Machine) bool {
	return c.Spec.IsMetBy(machines) && !slices.ContainsFunc(machines, func(m Machine) bool {
		return c.DescribeNodeChange(m) != ""
	})
}
