package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// MergeInto returns the spec and the labels that an apply of the file leads to: what the file says, without what the
// file that was applied last said and this one does not, and otherwise what is there. It compares lists of objects by
// their keys, and other lists as sets, as kubectl does. strategicpatch of apimachinery has the same rules; it would
// make skyctl 8 MB larger and a third slower to start, because it links OpenAPI.
func (d Document) MergeInto(stored *api.Cluster) (api.ClusterSpec, map[string]string, error) {
	fail := func(err error) (api.ClusterSpec, map[string]string, error) { return api.ClusterSpec{}, nil, err }
	last, err := readTree(stored.Metadata.LastApplied)
	if err != nil {
		return fail(fmt.Errorf("read what was applied to cluster %s before: %w", stored.Metadata.Name, err))
	}
	live, err := newTree(stored)
	if err != nil {
		return fail(err)
	}
	file := d.wanted()
	merged := object{
		"labels": mergeMap(last.child("labels"), file.child("labels"), live.child("labels")),
		"spec":   mergeObject("spec", last.child("spec"), file.child("spec"), live.child("spec")),
	}
	spec, labels, err := decodeWanted(merged)
	if err != nil {
		return fail(d.LocateErrors(err))
	}
	d.boundReplicas(&spec)
	spec.SetDefaults()
	if err := d.checkAccelerators(&spec); err != nil {
		return fail(d.LocateErrors(err))
	}
	return spec, labels, nil
}

// checkAccelerators refuses what is for accelerators only in a file that leaves none, as in the file of a new cluster.
// What the file does not give leaves with the last accelerators.
func (d Document) checkAccelerators(spec *api.ClusterSpec) error {
	if spec.HasAccelerators() {
		return nil
	}
	given := d.tree.child("spec")
	if _, has := given["gpu_stack"]; !has {
		spec.GPUStack = ""
	}
	if _, has := given["gpu_taint"]; !has {
		spec.GPUTaint = false
	}
	var errs []error
	for _, e := range api.FieldErrorsOf(spec.Validate()) {
		if e.Field == "gpu_stack" || e.Field == "gpu_taint" {
			errs = append(errs, &e)
		}
	}
	return errors.Join(errs...)
}

// mergeObject merges the object with a declared path.
func mergeObject(path string, last, file, live object) object {
	merged := object{}
	for _, f := range declared().inside[path] {
		name := f.Name()
		before, applied := last[name]
		wanted, given := file[name]
		present, exists := live[name]
		switch {
		case f.Type == api.TypeObject:
			if inner := mergeObject(f.Path, last.child(name), file.child(name), live.child(name)); len(inner) > 0 {
				merged[name] = inner
			}
		case f.Type == api.TypeMap || f.Type == api.TypeValueMap:
			if inner := mergeMap(last.child(name), file.child(name), live.child(name)); len(inner) > 0 {
				merged[name] = inner
			}
		case f.Type == api.TypeObjectList:
			if inner := mergeObjects(f, toObjects(before), toObjects(wanted), toObjects(present)); len(inner) > 0 {
				merged[name] = inner
			}
		case f.Type == api.TypeList:
			if inner := mergeSet(f, toTexts(before), toTexts(wanted), toTexts(present)); len(inner) > 0 {
				merged[name] = inner
			}
		case given:
			merged[name] = wanted
		case exists && (!applied || f.Stays):
			merged[name] = present
		}
	}
	return merged
}

// mergeMap merges texts by key.
func mergeMap(last, file, live object) object {
	merged := maps.Clone(live)
	if merged == nil {
		merged = object{}
	}
	for key := range last {
		delete(merged, key)
	}
	maps.Copy(merged, file)
	return merged
}

// mergeObjects merges a list of objects: those that are there in their order, then those that are new.
func mergeObjects(f api.FileField, last, file, live []object) []object {
	var merged []object
	for _, present := range live {
		key := present[f.Key]
		before, wanted := findObject(last, f.Key, key), findObject(file, f.Key, key)
		if before != nil && wanted == nil {
			continue
		}
		merged = append(merged, mergeObject(f.Path, before, wanted, present))
	}
	for _, wanted := range file {
		if findObject(live, f.Key, wanted[f.Key]) == nil {
			merged = append(merged, mergeObject(f.Path, nil, wanted, nil))
		}
	}
	return merged
}

func findObject(all []object, key string, value any) object {
	i := slices.IndexFunc(all, func(o object) bool { return o[key] == value })
	if i < 0 {
		return nil
	}
	return all[i]
}

// mergeSet merges lists of texts whose order has no meaning. An item of the file takes the place of one with its key.
func mergeSet(f api.FileField, last, file, live []string) []string {
	merged := slices.DeleteFunc(slices.Clone(live), func(text string) bool {
		return !slices.Contains(file, text) && (slices.Contains(last, text) ||
			slices.ContainsFunc(file, func(wanted string) bool { return f.ItemKey(wanted) == f.ItemKey(text) }))
	})
	for _, text := range file {
		if !slices.Contains(merged, text) {
			merged = append(merged, text)
		}
	}
	return merged
}

func toObjects(value any) []object {
	all, _ := value.([]object)
	return all
}

func toTexts(value any) []string {
	all, _ := value.([]string)
	return all
}

// readTree reads JSON with labels and a spec. It leaves out fields that this version does not know.
func readTree(text string) (object, error) {
	if text == "" {
		return object{}, nil
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("it is no JSON")
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil { // JSON is YAML
		return nil, err
	}
	r := &fileReader{lenient: true}
	tree := object{}
	for name, path := range map[string]string{"labels": "metadata.labels", "spec": "spec"} {
		f, _ := declared().find(api.FileField{Path: path}.Parent(), name)
		for _, e := range r.listEntries(root.Content[0], "", 0) {
			if e.key.Value != name {
				continue
			}
			if v, ok := r.readField(e, f, path); ok {
				tree[name] = v
			}
		}
	}
	return tree, nil
}
