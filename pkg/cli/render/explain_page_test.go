package render

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestExplainMatchesItsGoldenFiles(t *testing.T) {
	for _, path := range []string{"cluster", "cluster.metadata.labels", "cluster.spec.region", "cluster.spec.pools",
		"cluster.spec.pools.name", "cluster.spec.pools.machine.cpus"} {
		got, err := NewExplainPage(api.FileFields()).Explain(path, false)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		golden.Compare(t, filepath.Join("explain", path+".txt"), got)
	}
	got, err := NewExplainPage(api.FileFields()).Explain("cluster.spec.control_plane", true)
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("explain", "cluster.spec.control_plane-recursive.txt"), got)
}

func TestEveryFieldIsExplained(t *testing.T) {
	page := NewExplainPage(api.FileFields())
	whole, err := page.Explain("cluster", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range api.FileFields() {
		got, err := page.Explain("cluster."+f.Path, false)
		if err != nil || !strings.HasPrefix(got, "FIELD: cluster."+f.Path+" <") {
			t.Errorf("%s: %v\n%s", f.Path, err, got)
		}
		flat := strings.Join(strings.Fields(got), " ")
		for what, text := range map[string]string{"help": f.Help, "value": f.Want, "default": f.Default,
			"change": f.Change.Why, "instead": f.Change.Instead, "way": string(f.Change.Way)} {
			if !strings.Contains(flat, strings.Join(strings.Fields(text), " ")) {
				t.Errorf("%s: its %s %q is not in\n%s", f.Path, what, text, got)
			}
		}
		if f.Example != "" && !strings.Contains(got, f.Name()+": ") {
			t.Errorf("%s: no example in\n%s", f.Path, got)
		}
		if line := strings.Repeat("  ", strings.Count(f.Path, ".")+1) + f.Name() +
			" <"; !strings.Contains(whole, line) {
			t.Errorf("the tree lacks %q", line)
		}
	}
}

func TestPathsToFieldsAreRead(t *testing.T) {
	page := NewExplainPage(api.FileFields())
	want, err := page.Explain("cluster.spec.pools.machine.cpus", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"clusters.spec.pools.machine.cpus", "spec.pools.machine.cpus",
		"spec.pools[gpu].machine.cpus", "Cluster.spec.pools[].machine.cpus"} {
		if got, err := page.Explain(path, false); err != nil || got != want {
			t.Errorf("%s: %v\n%s", path, err, got)
		}
	}
}

func TestMisspeltPathSuggestsTheNearest(t *testing.T) {
	page := NewExplainPage(api.FileFields())
	for path, says := range map[string]string{
		"cluster.spec.pool.machine":   `cluster.spec has no field "pool"; did you mean cluster.spec.pools?`,
		"cluster.spec.pools.replica":  "did you mean cluster.spec.pools.replicas?",
		"clustr":                      "did you mean cluster?",
		"cluster.spec.taints":         "did you mean cluster.spec.pools.taints?",
		"cluster.spec.cpus":           "cluster.spec.control_plane.machine.cpus or cluster.spec.pools.machine.cpus?",
		"cluster.metadata.name.first": "cluster.metadata.name has the type string, and no fields",
		"cluster.metadata.zzz":        "its fields are name, labels",
		"cluster.spec.":               `cluster.spec has no field ""`,
		"":                            `cluster has no field ""`,
	} {
		_, err := page.Explain(path, false)
		field, ok := err.(*api.FieldError)
		if !ok || field.Value != path || !strings.Contains(field.Want, says) {
			t.Errorf("%q: %v, want %q", path, err, says)
		}
	}
}

func TestPathsAreCompleted(t *testing.T) {
	page := NewExplainPage(api.FileFields())
	for typed, want := range map[string]string{"": "cluster", "clu": "cluster", "cluster.": "cluster.spec",
		"cluster.spec.po": "cluster.spec.pools", "cluster.spec.pools.machine.": "cluster.spec.pools.machine.cpus"} {
		paths := page.CompletePaths(typed)
		if !slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, want+"\t") }) {
			t.Errorf("%q: %q, want %s", typed, paths, want)
		}
	}
	if paths := page.CompletePaths("cluster.metadata.name."); len(paths) > 0 {
		t.Errorf("a text has fields: %q", paths)
	}
	if !page.HasFields("cluster") || !page.HasFields("cluster.spec.pools") || page.HasFields("cluster.kind") {
		t.Error("objects are not told from texts")
	}
}
