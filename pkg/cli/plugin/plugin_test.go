package plugin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newPath writes files into directories and returns them as a PATH. A file that ends in "!" is not executable.
func newPath(t *testing.T, dirs ...[]string) (path string, root string) {
	t.Helper()
	root = t.TempDir()
	var all []string
	for i, names := range dirs {
		dir := filepath.Join(root, string(rune('a'+i)))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			name, plain := strings.CutSuffix(name, "!")
			mode := os.FileMode(0o700)
			if plain {
				mode = 0o600
			}
			if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, dir)
	}
	return strings.Join(all, string(os.PathListSeparator)), root
}

func TestLongestNameOfAPluginIsFound(t *testing.T) {
	path, root := newPath(t, []string{"skyctl-foo", "skyctl-foo-bar", "skyctl-with_dash", "skyctl-plain!"},
		[]string{"skyctl-foo", "skyctl-second", "skyctl-plain"})
	for line, want := range map[string]struct {
		program string
		words   int
	}{
		"foo":                {"a/skyctl-foo", 1},
		"foo bar":            {"a/skyctl-foo-bar", 2},
		"foo bar baz":        {"a/skyctl-foo-bar", 2},
		"foo other --x":      {"a/skyctl-foo", 1},
		"foo --x bar":        {"a/skyctl-foo", 1},
		"foo-bar":            {"", 0},
		"with-dash":          {"a/skyctl-with_dash", 1},
		"second":             {"b/skyctl-second", 1},
		"plain":              {"b/skyctl-plain", 1},
		"--x foo":            {"", 0},
		"absent":             {"", 0},
		"../a/skyctl-foo":    {"", 0},
		"foo ../a/something": {"a/skyctl-foo", 1},
	} {
		program, words, found := Find(path, strings.Fields(line))
		if want.program != "" {
			want.program = filepath.Join(root, want.program)
		}
		if program != want.program || words != want.words || found != (want.program != "") {
			t.Errorf("%s: %q, %d, %v; want %q, %d", line, program, words, found, want.program, want.words)
		}
	}
}

func TestNoPluginOfARelativeDirectoryRuns(t *testing.T) {
	path, root := newPath(t, []string{"skyctl-foo"})
	t.Chdir(path)
	for _, path := range []string{".", "", ":" + root, "../a"} {
		if program, _, found := Find(path, []string{"foo"}); found {
			t.Errorf("PATH %q: found %s", path, program)
		}
	}
}

func TestListSaysWhatCannotRun(t *testing.T) {
	path, root := newPath(t, []string{"skyctl-one", "skyctl-two_words", "kubectl-x", "skyctl-", "skyctl-plain!"},
		[]string{"skyctl-one", "skyctl-a-b", "skyctl_complete-one"})
	all := List(path + ":" + root + "/absent")
	var got []string
	for _, p := range all {
		file, _ := filepath.Rel(root, p.Path)
		by, _ := filepath.Rel(root, p.ShadowedBy)
		got = append(got, strings.Join([]string{file, strings.Join(p.Words, " "),
			map[bool]string{true: "runs", false: "plain"}[p.Executable], by}, "|"))
	}
	want := []string{"a/skyctl-one|one|runs|", "a/skyctl-plain|plain|plain|", "a/skyctl-two_words|two-words|runs|",
		"b/skyctl-a-b|a b|runs|", "b/skyctl-one|one|runs|a/skyctl-one"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
