package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FieldDifference is a field in which two clusters differ.
type FieldDifference struct {
	// Path leads to the field; brackets name an item of a list or a map: "spec.pools[gpu].machine.cpus".
	Path string
	// Before and After are the values as text; empty is unset.
	Before, After string
	Change        ChangeRule
}

// String says for people how the field differs.
func (d FieldDifference) String() string {
	return fmt.Sprintf("%s is %s, requested is %s", d.Path, valueOrUnset(d.Before), valueOrUnset(d.After))
}

// CompareClusters returns the fields of a cluster file in which two clusters differ, in the order of a file. Two
// spellings of the same value do not differ. It is empty exactly where name, labels and spec are the same.
func CompareClusters(before, after *Cluster) []FieldDifference {
	var c comparison
	c.compareText("metadata.name", before.Metadata.Name, after.Metadata.Name, changeOf("metadata.name"))
	c.compareMaps("metadata.labels", before.Metadata.Labels, after.Metadata.Labels, changeOf("metadata.labels"))
	c.compareSpecs(before.Spec, after.Spec)
	if before.hasFailedCreate() {
		for i := range c.found {
			if c.found[i].Change.Way == ChangeNever {
				c.found[i].Change = changesInFailedCreate(before.Metadata.Name)
			}
		}
	}
	return c.found
}

// comparison collects differences.
type comparison struct{ found []FieldDifference }

func (c *comparison) compareText(path, before, after string, rule ChangeRule) {
	if before != after {
		c.found = append(c.found, FieldDifference{Path: path, Before: before, After: after, Change: rule})
	}
}

func (c *comparison) compareMaps(path string, before, after map[string]string, rule ChangeRule) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		was, had := before[key]
		is, has := after[key]
		if had != has || was != is {
			c.compareText(fmt.Sprintf("%s[%s]", path, key), quoteLabel(was, had), quoteLabel(is, has), rule)
		}
	}
}

// quoteLabel is a label's value as text: an empty one differs from none.
func quoteLabel(value string, is bool) string {
	if is && value == "" {
		return `""`
	}
	return value
}

func (c *comparison) compareSpecs(before, after ClusterSpec) {
	before, after = before.Clone(), after.Clone()
	before.SetDefaults()
	after.SetDefaults()
	was, is := before.ControlPlaneGroup(), after.ControlPlaneGroup()
	for _, f := range Fields {
		path := f.filePath()
		if path == "" || f.IsOfMachines() {
			continue
		}
		rule := f.Change
		if f.Name == "gpu_stack" && (was.GPUStack == "" || is.GPUStack == "") {
			rule = changesFreely("it follows from the accelerators")
		}
		c.compareField(f, path, was, is, rule)
		if f.Name == "rke2.sha256" {
			c.compareRKE2Settings(before.RKE2, after.RKE2)
		}
	}
	c.compareText(pathControlPlane+".replicas", fmt.Sprint(before.ControlPlane.Replicas),
		fmt.Sprint(after.ControlPlane.Replicas), changesServer)
	c.compareMachines(pathControlPlane, was, is, func(Field) ChangeRule { return changesServer })
	c.comparePools(before, after)
}

func (c *comparison) compareField(f Field, path string, before, after GroupSpec, rule ChangeRule) {
	was, is := f.text(before), f.text(after)
	if f.isEqual != nil && f.isEqual(was, is) {
		return
	}
	c.compareText(path, was, is, rule)
}

func (c *comparison) compareMachines(group string, before, after GroupSpec, rule func(Field) ChangeRule) {
	for _, f := range Fields {
		if f.IsOfMachines() {
			c.compareField(f, group+"."+pathMachine+"."+f.Name, before, after, rule(f))
		}
	}
}

func (c *comparison) comparePools(before, after ClusterSpec) {
	for _, p := range before.Pools {
		if now := after.FindPool(p.Name); now != nil {
			c.comparePool(poolPath(p), &p, now, before.PoolGroup(p), after.PoolGroup(*now))
		} else {
			c.comparePool(poolPath(p), &p, nil, before.PoolGroup(p), GroupSpec{})
		}
	}
	for _, p := range after.Pools {
		if before.FindPool(p.Name) == nil {
			c.comparePool(poolPath(p), nil, &p, GroupSpec{}, after.PoolGroup(p))
		}
	}
}

func poolPath(p Pool) string { return fmt.Sprintf("%s[%s]", pathPools, p.Name) }

// comparePool compares a pool. One that is nil is not there.
func (c *comparison) comparePool(path string, before, after *Pool, was, is GroupSpec) {
	ruleOf := func(f Field) ChangeRule { return f.Change }
	if before == nil || after == nil {
		ruleOf = func(Field) ChangeRule { return changeOf(pathPools) }
	}
	for _, f := range PoolFields {
		rule := f.Change
		if before == nil || after == nil {
			rule = changeOf(pathPools)
		}
		if f.Type == TypeMap {
			c.compareMaps(path+"."+f.Name, labelsOf(before), labelsOf(after), rule)
			continue
		}
		was, is := textOf(f, before), textOf(f, after)
		if f.Type == TypeList && isSameSet(was, is) {
			continue
		}
		c.compareText(path+"."+f.Name, was, is, rule)
	}
	c.compareMachines(path, was, is, ruleOf)
}

// isSameSet compares the texts of two lists whose order has no meaning.
func isSameSet(a, b string) bool {
	itemsOfA, itemsOfB := strings.Split(a, ","), strings.Split(b, ",")
	slices.Sort(itemsOfA)
	slices.Sort(itemsOfB)
	return slices.Equal(itemsOfA, itemsOfB)
}

func labelsOf(p *Pool) map[string]string {
	if p == nil {
		return nil
	}
	return p.Labels
}

func textOf(f PoolField, p *Pool) string {
	if p == nil {
		return ""
	}
	return f.text(*p)
}

// changeOf returns how the field with a path changes.
func changeOf(path string) ChangeRule {
	for _, f := range fileFields() {
		if f.Path == path {
			return f.Change
		}
	}
	return ChangeRule{}
}
