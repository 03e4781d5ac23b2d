package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// places are the paths in the first column of the table "Where things are".
func places(document string) []string {
	_, after, _ := strings.Cut(document, "\n## Where things are\n")
	section, _, _ := strings.Cut(after, "\n## ")
	var all []string
	for l := range strings.Lines(section) {
		if first, ok := strings.CutPrefix(l, "| "); ok {
			first, _, _ = strings.Cut(first, " |")
			for _, m := range quoted.FindAllStringSubmatch(first, -1) {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// unplaced returns packages that are not in the table, and paths of the table that do not exist or are listed twice.
func unplaced(document string, packages []goPackage, exists func(string) bool) []string {
	table := places(document)
	var found []string
	for _, p := range packages {
		if !slices.Contains(table, p.name()) {
			found = append(found, fmt.Sprintf("%s is not in the table: say there what it is for", p.name()))
		}
	}
	for i, place := range table {
		switch {
		case !exists(place):
			found = append(found, fmt.Sprintf("%s is in the table, and is not there", place))
		case slices.Contains(table[:i], place):
			found = append(found, fmt.Sprintf("%s is in the table twice", place))
		}
	}
	return found
}

func TestEveryPackageIsInTheArchitectureTable(t *testing.T) {
	const root, name = "../..", "docs/architecture.md"
	document, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range unplaced(string(document), list(t), func(place string) bool {
		info, err := os.Stat(filepath.Join(root, place))
		return err == nil && info.IsDir()
	}) {
		t.Errorf("%s: %s", name, fault)
	}
}

func TestArchitectureTableIsParsed(t *testing.T) {
	const document = "# X\n\n## Where things are\n\n| path | what `not/this` is |\n|---|---|\n| `a`, `b/c` | see " +
		"`d` |\n| `gone`, `a` | e |\n\n## Next\n\n| `f` | g |\n"
	packages := []goPackage{{ImportPath: module + "a"}, {ImportPath: module + "b"}, {ImportPath: module + "b/c"},
		{ImportPath: module + "f"}}
	got := unplaced(document, packages, func(p string) bool { return p != "gone" })
	want := []string{
		"b is not in the table: say there what it is for", "f is not in the table: say there what it is for",
		"gone is in the table, and is not there", "a is in the table twice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
