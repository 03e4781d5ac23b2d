package venv

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standInPython makes environments that have itself as their Python, and records what pip is asked for.
const standInPython = `#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip")
	for file; do case $file in /*) [ -s "$file" ] && echo "${file##*/}" >>"$CALLS" ;; esac; done ;;
esac
`

func TestSkyPilotIsInstalledWithTheLibrariesOfClouds(t *testing.T) {
	dir := t.TempDir()
	python, calls := filepath.Join(dir, "python"), filepath.Join(dir, "calls")
	if err := os.WriteFile(python, []byte(standInPython), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	t.Setenv("PYTHON", python)
	t.Setenv("CALLS", calls)
	temporary := filepath.Join(dir, "a b") // where the script and the requirements are unpacked
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	var out bytes.Buffer
	for range 2 { // the second time there is nothing to do
		if err := Install(t.Context(), filepath.Join(dir, "skypilot"), []string{"gcp", "do"}, &out); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
	}
	asked, err := os.ReadFile(calls)
	if err != nil || string(asked) != "base.txt\ngcp.txt\ndo.txt\n" {
		t.Errorf("pip was asked for %q, %v", asked, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "skypilot/venv/bin/python")); err != nil {
		t.Error(err)
	}
}

func TestInstallationThatFailsSaysWhatItPrinted(t *testing.T) {
	t.Setenv("PYTHON", "/does/not/exist")
	var out bytes.Buffer
	err := Install(t.Context(), t.TempDir(), []string{"aws"}, &out)
	if err == nil || !strings.Contains(out.String(), "install Python 3.10 or newer") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestCloudsWithoutLibrariesAreRefused(t *testing.T) {
	for _, name := range []string{"base", "vast", "../setup/aws", ""} {
		dir := filepath.Join(t.TempDir(), "skypilot")
		err := Install(t.Context(), dir, []string{"aws", name}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "choose from aws, azure, ") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: it wrote %s", name, dir)
		}
	}
}
