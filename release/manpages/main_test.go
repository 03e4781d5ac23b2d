package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readPage(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCommandsHavePagesAndShellsCompletions(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1800000000")
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		if err := writeAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"skyctl": "Kubernetes clusters with one command", "skyctl-create-cluster": `\fB--num_nodes\fP`,
		"skyctl-server-install": "loginctl enable-linger", "skyctl-settings": ".EX\n  config.yaml  ",
		"skyctl-exit-codes": "\n  0    success\n",
	} {
		page := readPage(t, filepath.Join(dirs[0], "man", name+".1.gz"))
		if !strings.Contains(page, want) {
			t.Errorf("%s has no %q:\n%.1500s", name, want, page)
		}
		if title := `.TH "` + strings.ToUpper(name) + `" "1" "Jan 2027"`; !strings.Contains(page, title) {
			t.Errorf("%s has no line %s: %.100s", name, title, page)
		}
	}
	for _, name := range []string{"skyctl.bash", "skyctl.zsh", "skyctl.fish"} {
		text, err := os.ReadFile(filepath.Join(dirs[0], "completions", name))
		if err != nil || !strings.Contains(string(text), "__complete") {
			t.Errorf("%s: %v, %.100s", name, err, text)
		}
	}
	for _, kind := range []string{"man", "completions"} {
		names, err := filepath.Glob(filepath.Join(dirs[0], kind, "*"))
		if err != nil || len(names) < 3 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			first, err1 := os.ReadFile(name)
			second, err2 := os.ReadFile(filepath.Join(dirs[1], kind, filepath.Base(name)))
			if err1 != nil || err2 != nil || !bytes.Equal(first, second) {
				t.Errorf("%s differs between two runs: %v, %v", filepath.Base(name), err1, err2)
			}
		}
	}
}

func TestSourceDateIsANumberOfSeconds(t *testing.T) {
	if _, err := readSourceDate("yesterday"); err == nil || !strings.Contains(err.Error(), "yesterday") {
		t.Errorf("got %v", err)
	}
}

func TestParagraphsOfHelpKeepTheirForm(t *testing.T) {
	got := keepLines("Use --num_nodes <2> and a_b*.\n\n  0    success\n  1    failure")
	want := "Use --num\\_nodes \\<2> and a\\_b\\*.\n\n```\n  0    success\n  1    failure\n```"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
