package api_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestDiffSpecComparesNormalForms(t *testing.T) {
	a := good()
	a.Ports = []string{"80", "443"}
	b := a
	b.Manager, b.Cloud, b.Memory, b.Ports = "k8s", "Docker", "4GiB", []string{"443", "80"}
	if diff := api.DiffSpec(a, b); len(diff) > 0 {
		t.Errorf("the same spec in other words differs: %v", diff)
	}
	b.CPUs, b.NumNodes, b.Accelerators, b.DiskSize = "4", 5, "A100", 10
	want := []string{"cpus is 2+, requested is 4", "disk_size is unset, requested is 10",
		"accelerators is unset, requested is A100:1", "num_nodes is 3, requested is 5"}
	if diff := api.DiffSpec(a, b); !reflect.DeepEqual(diff, want) {
		t.Errorf("diff %q", diff)
	}
}

// TestDiffSpecComparesEveryField changes each field in turn, so that one that is added later can't be
// forgotten.
func TestDiffSpecComparesEveryField(t *testing.T) {
	for i, path := range leaves(reflect.TypeFor[api.GroupSpec](), nil) {
		b := good()
		f := reflect.ValueOf(&b).Elem().FieldByIndex(path)
		switch f.Kind() {
		case reflect.String:
			f.SetString("7")
		case reflect.Int:
			f.SetInt(7)
		case reflect.Float64:
			f.SetFloat(7)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Pointer:
			f.Set(reflect.ValueOf(new(true)))
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"7"}))
		}
		if diff := api.DiffSpec(good(), b); len(diff) != 1 {
			t.Errorf("field %d, %s: diff %q", i, reflect.TypeFor[api.GroupSpec]().FieldByIndex(path).Name, diff)
		}
	}
}

// leaves are the ways to the fields of a struct, and to those of the structs in it.
func leaves(of reflect.Type, way []int) [][]int {
	var all [][]int
	for i := range of.NumField() {
		here := append(slices.Clone(way), i)
		if f := of.Field(i); f.Type.Kind() == reflect.Struct {
			all = append(all, leaves(f.Type, here)...)
			continue
		}
		all = append(all, here)
	}
	return all
}

func TestTextOfSeveralLinesIsSummarized(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "4+": "4+", "a\n": "a\n",
		"-----BEGIN-----\nabc\n-----END-----":   "-----BEGIN----- … (3 lines, SHA-256 53fb624e…)",
		"-----BEGIN-----\nabd\n-----END-----\n": "-----BEGIN----- … (3 lines, SHA-256 72ba9331…)",
	} {
		if got := api.SummarizeText(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
