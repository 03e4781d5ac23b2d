package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// testInRow matches the name of a test in the last column of a table.
	testInRow = regexp.MustCompile("`(Test[A-Za-z0-9_]+)` \\|$")
	// testFunction matches the declaration of a test.
	testFunction = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// missingTests returns the names of tests in the tables of a document that are not in known, and how many it names.
func missingTests(document string, known map[string]bool) (missing []string, named int) {
	for line := range strings.Lines(document) {
		for _, match := range testInRow.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			named++
			if !known[match[1]] {
				missing = append(missing, match[1])
			}
		}
	}
	return missing, named
}

func TestTestsOfHabitsExist(t *testing.T) {
	const root = "../.."
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range testFunction.FindAllSubmatch(content, -1) {
			known[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "docs/habits.md"))
	if err != nil {
		t.Fatal(err)
	}
	missing, named := missingTests(string(document), known)
	if len(missing) > 0 || named < 10 {
		t.Errorf("docs/habits.md names %d tests; these do not exist: %v", named, missing)
	}
}

func TestMissingTestsOfHabitsAreFound(t *testing.T) {
	missing, named := missingTests("| `x` | y | `TestA` |\n| z | w | `TestB` |\n| z | `TestC` | |\n",
		map[string]bool{"TestA": true})
	if named != 2 || strings.Join(missing, " ") != "TestB" {
		t.Errorf("%d, %v", named, missing)
	}
}
