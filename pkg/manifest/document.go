// Package manifest reads and writes clusters as files: it parses them strictly and says the place of each error, merges
// a file with what was applied before and what is there, exports clusters, and describes files as a JSON schema. It is
// pure.
package manifest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Document is one cluster of a file, as the file gives it.
type Document struct {
	// Source is the name of the file, and Line the line in which the cluster begins.
	Source string
	Line   int
	Name   string

	tree   object
	places places
}

// object are the fields of an object of a file by name. A value is text, an int, a float64, a bool, []string, an
// object, or []object.
type object map[string]any

// child returns a nested object; nil if there is none.
func (o object) child(name string) object {
	inner, _ := o[name].(object)
	return inner
}

// wanted is what a merge works on: labels and spec.
func (d Document) wanted() object {
	wanted := object{}
	if labels := d.tree.child("metadata").child("labels"); len(labels) > 0 {
		wanted["labels"] = labels
	}
	if spec := d.tree.child("spec"); len(spec) > 0 {
		wanted["spec"] = spec
	}
	return wanted
}

// LastApplied returns the labels and the spec that the file gives, as compact JSON for Metadata.LastApplied.
func (d Document) LastApplied() string {
	text, err := json.Marshal(d.wanted())
	if err != nil {
		panic(err) // a tree has texts, finite numbers and truth values only
	}
	return string(text)
}

// NewCluster returns the cluster that a create of the file requests, with its defaults and without a UID. Fields with a
// setting that the file leaves out are empty. Its error is a *PlaceErrors.
func (d Document) NewCluster(now time.Time) (*api.Cluster, error) {
	spec, labels, err := decodeWanted(d.wanted())
	if err != nil {
		return nil, d.LocateErrors(err)
	}
	d.boundReplicas(&spec)
	c := &api.Cluster{
		Metadata: api.Metadata{Name: d.Name, Labels: labels, CreatedAt: now.UTC(), Generation: 1},
		Spec:     spec,
	}
	c.Status.NextIndex = c.Spec.MachineCount()
	c.Status.SetPhase(api.PhaseInit, "", now.UTC())
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, d.LocateErrors(err)
	}
	return c, nil
}

// decodeWanted returns the spec and the labels of a tree. Fields that it leaves out get the default of a file.
func decodeWanted(wanted object) (api.ClusterSpec, map[string]string, error) {
	text, err := json.Marshal(wanted)
	if err != nil {
		return api.ClusterSpec{}, nil, err
	}
	var read struct {
		Labels map[string]string `json:"labels"`
		Spec   api.ClusterSpec   `json:"spec"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return api.ClusterSpec{}, nil, fmt.Errorf("decode the cluster: %w", err)
	}
	spec := wanted.child("spec")
	if _, given := spec["provision"]; !given {
		read.Spec.Provision = true
	}
	if _, given := spec.child("control_plane")["replicas"]; !given {
		read.Spec.ControlPlane.Replicas = 1
	}
	for i, p := range toObjects(spec["pools"]) {
		if _, given := p["replicas"]; !given {
			read.Spec.Pools[i].Replicas = defaultReplicas
		}
	}
	return read.Spec, read.Labels, nil
}

// defaultReplicas is the number of machines of a new pool of which the file gives none.
const defaultReplicas = 1

// boundReplicas keeps the pools of which the file gives no number of machines within their bounds.
func (d Document) boundReplicas(spec *api.ClusterSpec) {
	for _, given := range toObjects(d.tree.child("spec")["pools"]) {
		name, _ := given["name"].(string)
		p := spec.FindPool(name)
		if _, has := given["replicas"]; has || p == nil {
			continue
		}
		p.Replicas = max(p.Replicas, p.MinReplicas)
		if p.MaxReplicas > 0 {
			p.Replicas = min(p.Replicas, p.MaxReplicas)
		}
	}
}
