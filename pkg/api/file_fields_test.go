package api_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// pathsOf are the paths of the fields of a struct in a file.
func pathsOf(of reflect.Type, prefix string) []string {
	var paths []string
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			paths = append(paths, pathsOf(f.Type, prefix)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path := prefix + name
		paths = append(paths, path)
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			paths = append(paths, pathsOf(inner, path+".")...)
		}
	}
	return paths
}

func TestEveryFieldOfAClusterFileIsDeclared(t *testing.T) {
	var declared []string
	for _, f := range api.FileFields() {
		if strings.HasPrefix(f.Path, "spec.") {
			declared = append(declared, f.Path)
		}
	}
	paths := pathsOf(reflect.TypeFor[api.ClusterSpec](), "spec.")
	slices.Sort(paths)
	slices.Sort(declared)
	if !slices.Equal(paths, declared) {
		t.Errorf("fields of ClusterSpec:\n%v\ndeclared:\n%v", paths, declared)
	}
}

func TestEveryFileFieldHasAllParts(t *testing.T) {
	for _, f := range api.FileFields() {
		isObject := f.Type == api.TypeObject || f.Type == api.TypeObjectList
		for part, missing := range map[string]bool{
			"Help":                   f.Help == "",
			"Want and Example":       !isObject && (f.Want == "" || f.Example == ""),
			"Change":                 f.Type != api.TypeObject && (f.Change.Way == "" || f.Change.Why == ""),
			"Instead of never":       (f.Change.Way == api.ChangeNever) != (f.Change.Instead != ""),
			"Key":                    (f.Type == api.TypeObjectList) != (f.Key != ""),
			"object that has it":     f.Parent() != "" && !isDeclared(f.Parent()),
			"path in no other field": countDeclared(f.Path) != 1,
		} {
			if missing {
				t.Errorf("%s lacks its %s", f.Path, part)
			}
		}
	}
}

func isDeclared(path string) bool { return countDeclared(path) > 0 }

func countDeclared(path string) int {
	count := 0
	for _, f := range api.FileFields() {
		if f.Path == path {
			count++
		}
	}
	return count
}
