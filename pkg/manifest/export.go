package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Export returns a cluster as the file that an apply takes, in the order of the declared fields. It leaves out the
// status, and fields that have the default of a file.
func Export(c *api.Cluster) ([]byte, error) {
	tree, err := newTree(c)
	if err != nil {
		return nil, err
	}
	metadata := object{"name": c.Metadata.Name}
	if labels := tree.child("labels"); len(labels) > 0 {
		metadata["labels"] = labels
	}
	spec := tree.child("spec")
	if spec == nil {
		spec = object{}
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	file := object{"apiVersion": api.APIVersion, "kind": api.Kind, "metadata": metadata, "spec": spec}
	if err := encoder.Encode(newObjectNode("", file)); err != nil {
		return nil, fmt.Errorf("write cluster %s as YAML: %w", c.Metadata.Name, err)
	}
	return text.Bytes(), nil
}

// newTree returns the labels and the spec of a cluster without what is a file's default.
func newTree(c *api.Cluster) (object, error) {
	text, err := json.Marshal(map[string]any{"labels": c.Metadata.Labels, "spec": omitImplied(c.Spec)})
	if err != nil {
		return nil, fmt.Errorf("write cluster %s as JSON: %w", c.Metadata.Name, err)
	}
	tree, err := readTree(string(text))
	if err != nil {
		return nil, err
	}
	spec := tree.child("spec")
	if launches, _ := spec["provision"].(bool); launches {
		delete(spec, "provision")
	}
	if servers := spec.child("control_plane"); servers["replicas"] == 1 {
		if delete(servers, "replicas"); len(servers) == 0 {
			delete(spec, "control_plane")
		}
	}
	return tree, nil
}

// omitImplied unsets the fields of a spec that follow from others.
func omitImplied(spec api.ClusterSpec) api.ClusterSpec {
	omitted := spec.Clone()
	for _, unset := range []func(*api.ClusterSpec){
		func(s *api.ClusterSpec) { s.Manager = "" },
		func(s *api.ClusterSpec) { s.GPUStack = "" },
	} {
		without := omitted.Clone()
		unset(&without)
		filled := without.Clone()
		filled.SetDefaults()
		if filled.Manager == spec.Manager && filled.GPUStack == spec.GPUStack {
			omitted = without
		}
	}
	return omitted
}

// newObjectNode returns the object with a declared path as a node, its fields in the order of their declarations.
func newObjectNode(path string, o object) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range declared().inside[path] {
		if value, given := o[f.Name()]; given {
			n.Content = append(n.Content, newTextNode(f.Name()), newValueNode(f, value))
		}
	}
	return n
}

func newValueNode(f api.FileField, value any) *yaml.Node {
	switch value := value.(type) {
	case object:
		if f.Type == api.TypeMap || f.Type == api.TypeValueMap {
			n := &yaml.Node{Kind: yaml.MappingNode}
			for _, key := range slices.Sorted(maps.Keys(value)) {
				n.Content = append(n.Content, newTextNode(key), newValueNode(api.FileField{}, value[key]))
			}
			return n
		}
		return newObjectNode(f.Path, value)
	case []object:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range value {
			n.Content = append(n.Content, newObjectNode(f.Path, item))
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range value {
			n.Content = append(n.Content, newTextNode(item))
		}
		return n
	case string:
		return newTextNode(value)
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(value, 'f', -1, 64)}
	default: // an int or a bool
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(value)}
	}
}

// newTextNode returns text as a node, in quotes where YAML 1.1 or 1.2 would read something else, such as yes.
func newTextNode(text string) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(text); err != nil { // text that is not UTF-8
		n.SetString(text)
	}
	return n
}
