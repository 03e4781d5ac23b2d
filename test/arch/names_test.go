package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// What names of functions are held to, outside of tests: most say a verb and its object.
const (
	mostOneWordNames = 0.35 // share of functions
	leastMeanLength  = 10.5 // letters
)

// vagueNames say nothing about their subject. A function or method may not consist of one of them alone.
var vagueNames = []string{
	"at", "ask", "beat", "board", "do", "give", "given", "look", "on", "pace", "place", "rows", "say", "swept", "view",
	"whole",
}

// isOneWord reports whether a name in camel case has one word only.
func isOneWord(name string) bool {
	return !strings.ContainsFunc(strings.TrimLeftFunc(name, unicode.IsUpper), unicode.IsUpper)
}

// functionNames lists the functions and methods of the files that belong to the programs.
func functionNames(t *testing.T, root string) map[string]token.Position {
	t.Helper()
	names, files := map[string]token.Position{}, token.NewFileSet()
	for _, folder := range []string{"activities", "cmd", "pkg", "worker", "workflows"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, declaration := range file.Decls {
				if function, ok := declaration.(*ast.FuncDecl); ok && function.Name.Name != "main" {
					position := files.Position(function.Pos())
					names[position.String()+" "+function.Name.Name] = position
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestFunctionNamesSayVerbAndObject(t *testing.T) {
	names := functionNames(t, "../..")
	oneWord, letters := 0, 0
	for key, position := range names {
		name := key[strings.LastIndex(key, " ")+1:]
		letters += len(name)
		if isOneWord(name) {
			oneWord++
		}
		if slices.Contains(vagueNames, strings.ToLower(name)) {
			t.Errorf("%s: the name %s says nothing about its subject", position, name)
		}
	}
	if len(names) < 1000 {
		t.Fatalf("found %d functions only: this test reads the wrong folders", len(names))
	}
	if share := float64(oneWord) / float64(len(names)); share > mostOneWordNames {
		t.Errorf("%.0f %% of the function names are one word, at most %.0f %% are wanted", 100*share,
			100*mostOneWordNames)
	}
	if mean := float64(letters) / float64(len(names)); mean < leastMeanLength {
		t.Errorf("function names have %.1f letters on average, at least %.1f are wanted", mean, leastMeanLength)
	}
}

func TestOneWordNamesAreRecognized(t *testing.T) {
	for name, want := range map[string]bool{
		"look": true, "Look": true, "awaitNode": false, "AwaitNode": false, "URL": true, "parseURL": false,
		"CIDRs": true,
	} {
		if got := isOneWord(name); got != want {
			t.Errorf("isOneWord(%q) = %v", name, got)
		}
	}
}
