package manifest

import (
	"slices"
	"strings"
	"sync"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/spelling"
)

// fieldIndex finds the declared fields of a file.
type fieldIndex struct {
	all []api.FileField
	// inside are the fields of each object by its path, in the order of a file.
	inside map[string][]api.FileField
}

// declared has every field of a file.
var declared = sync.OnceValue(func() fieldIndex {
	index := fieldIndex{all: api.FileFields(), inside: map[string][]api.FileField{}}
	for _, f := range index.all {
		index.inside[f.Parent()] = append(index.inside[f.Parent()], f)
	}
	return index
})

// find returns the field of an object.
func (x fieldIndex) find(parent, name string) (api.FileField, bool) {
	i := slices.IndexFunc(x.inside[parent], func(f api.FileField) bool { return f.Name() == name })
	if i < 0 {
		return api.FileField{}, false
	}
	return x.inside[parent][i], true
}

// ignored are the fields of stored objects that files may have, so that what get prints can be applied.
var ignored = map[string][]string{
	"":         {"status"},
	"metadata": {"uid", "created_at", "generation", "revision", "last_applied", "created_by_apply"},
}

// otherNames are second names of fields.
var otherNames = map[string]string{"api_version": "apiVersion"}

// suggestFor says what would be right instead of a field that an object does not have.
func (x fieldIndex) suggestFor(parent, name string) string {
	if parent == "spec" && name == "num_nodes" {
		return "replicas of each pool: the cluster has 1 server, and spec.pools has the workers. Older versions had " +
			"this form; skyctl get cluster NAME -o yaml prints the present one"
	}
	if owners := x.ownersOf(name); len(owners) > 0 {
		return "it under " + strings.Join(owners, " or ")
	}
	names := namesOf(x.inside[parent])
	if near := spelling.FindNearest(name, names); near != "" {
		return near
	}
	leaves := slices.DeleteFunc(slices.Clone(x.all), func(f api.FileField) bool { return f.Type == api.TypeObject })
	if near := spelling.FindNearest(name, namesOf(leaves)); near != "" {
		return near + " under " + strings.Join(x.ownersOf(near), " or ")
	}
	return "one of " + strings.Join(names, ", ")
}

// wantOf describes a valid value of a field.
func (x fieldIndex) wantOf(f api.FileField) string {
	if f.Type == api.TypeObject {
		return "an object with fields: " + strings.Join(namesOf(x.inside[f.Path]), ", ")
	}
	return f.Want
}

func namesOf(fields []api.FileField) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name())
	}
	return names
}

// ownersOf returns the paths of the objects that have a field with a name.
func (x fieldIndex) ownersOf(name string) []string {
	var owners []string
	for _, f := range x.all {
		if f.Name() == name {
			owners = append(owners, x.displayPath(f.Parent()))
		}
	}
	return owners
}

// displayPath marks the lists in the path of an object: "spec.pools[].machine". The top has no path.
func (x fieldIndex) displayPath(path string) string {
	if path == "" {
		return "no other field"
	}
	for _, f := range x.all {
		if f.Type == api.TypeObjectList && (path == f.Path || strings.HasPrefix(path, f.Path+".")) {
			path = f.Path + "[]" + strings.TrimPrefix(path, f.Path)
		}
	}
	return path
}
