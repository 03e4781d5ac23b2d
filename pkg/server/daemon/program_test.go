package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// makePrograms writes an empty program for each path below a directory, or a link for each "path -> target".
func makePrograms(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		name, target, isLink := strings.Cut(p, " -> ")
		name = filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(name), 0o700)
		if err == nil && isLink {
			err = os.Symlink(target, name)
		} else if err == nil {
			err = os.WriteFile(name, nil, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSkydIsFoundByAPathThatStays(t *testing.T) {
	for name, tt := range map[string]struct {
		paths           []string
		program, called string
		want            string
	}{
		"no links": {paths: []string{"bin/skyctl", "bin/skyd"}, program: "bin/skyctl", called: "bin/skyctl",
			want: "bin/skyd"},
		"links to both": {paths: []string{"v1/skyctl", "v1/skyd", "bin/skyctl -> ../v1/skyctl",
			"bin/skyd -> ../v1/skyd"}, program: "v1/skyctl", called: "bin/skyctl", want: "bin/skyd"},
		"a link to skyctl alone": {paths: []string{"v1/skyctl", "v1/skyd", "bin/skyctl -> ../v1/skyctl"},
			program: "v1/skyctl", called: "bin/skyctl", want: "v1/skyd"},
		"a link to a directory that is a link": {paths: []string{"v1/skyctl", "v1/skyd", "current -> v1",
			"bin/skyctl -> ../current/skyctl"}, program: "v1/skyctl", called: "bin/skyctl", want: "current/skyd"},
		"another skyd beside the link": {paths: []string{"v2/skyctl", "v2/skyd", "bin/skyctl -> ../v2/skyctl",
			"bin/skyd"}, program: "v2/skyctl", called: "bin/skyctl", want: "v2/skyd"},
		"skyd beside the link alone": {paths: []string{"v2/skyctl", "bin/skyctl -> ../v2/skyctl", "bin/skyd"},
			program: "v2/skyctl", called: "bin/skyctl", want: "bin/skyd"},
		"called by another program's name": {paths: []string{"v1/skyctl", "v1/skyd", "bin/skyctl", "bin/skyd"},
			program: "v1/skyctl", called: "bin/skyctl", want: "v1/skyd"},
		"a circle of links": {paths: []string{"v1/skyctl", "a -> b", "b -> a"}, program: "v1/skyctl", called: "a"},
		"no skyd":           {paths: []string{"v1/skyctl"}, program: "v1/skyctl", called: "v1/skyctl"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			makePrograms(t, dir, tt.paths...)
			got := findBeside(filepath.Join(dir, tt.program), filepath.Join(dir, tt.called))
			if rel := strings.TrimPrefix(got, dir+"/"); rel != tt.want {
				t.Errorf("got %q, want %q", rel, tt.want)
			}
		})
	}
}

func TestVersionOfAProgramIsRead(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, version, says string }{
		"skyd":    {"#!/bin/sh\necho skyd v1.2.3 '(0123)' go1.26 linux/amd64\n", "v1.2.3", ""},
		"another": {"#!/bin/sh\necho hello\n", "", "is not skyd"},
		"broken":  {"#!/bin/sh\nexit 3\n", "", "exit status 3"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o700); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSkydVersion(t.Context(), path)
		if got != tt.version || (err == nil) != (tt.says == "") || err != nil &&
			!strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
