package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	mit = "Permission is hereby granted,\n free of charge, to any person\n\nTHE SOFTWARE IS PROVIDED “AS IS”, " +
		"WITHOUT\nWARRANTY OF ANY KIND"
	bsd2 = "Redistribution and use in source and binary forms, with or without"
)

func TestLicensesAreClassified(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                        "Apache-2.0",
		"Mozilla Public License Version 2.0 … the GNU General Public License": "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE Version 3":                                "GPL",
		"GNU Affero General Public License":                                   "AGPL",
		mit:                                                                   "MIT",
		bsd2:                                                                  "BSD-2-Clause",
		bsd2 + " … to endorse or promote products derived":                              "BSD-3-Clause",
		"Permission to use, copy, modify, and distribute this software for any purpose": "ISC",
		"All rights reserved": "",
	} {
		if got := classify(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// newModule writes a module with these files, of which the packages are linked.
func newModule(t *testing.T, path string, files map[string]string, packages ...string) *module {
	t.Helper()
	m := &module{Path: path, Version: "v1.0.0", Dir: t.TempDir()}
	for name, content := range files {
		name = filepath.Join(m.Dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range packages {
		m.packages = append(m.packages, filepath.Join(m.Dir, p))
	}
	return m
}

func TestLicensesBesideLinkedPackagesAreRead(t *testing.T) {
	m := newModule(t, "example.com/m", map[string]string{"LICENSE": mit, "NOTICE.txt": "Made by Ann", "license.go": "x",
		"third/LICENSE": bsd2, "third/deep/a.go": "", "other/COPYING": "GNU General Public License"}, "third/deep")
	if err := m.readLicenses(); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, l := range m.licenses {
		got += l.file + " " + l.kind + "\n"
	}
	if want := "LICENSE MIT\nNOTICE.txt \nthird/LICENSE BSD-2-Clause\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestModulesThatCannotBeCarriedAreErrors(t *testing.T) {
	for _, c := range []struct {
		path  string
		files map[string]string
		says  string
	}{
		{"example.com/none", map[string]string{"NOTICE": "x"}, "has no file with a license"},
		{"example.com/odd", map[string]string{"LICENSE": "Ask me"}, "is of no known kind"},
		{"example.com/gpl", map[string]string{"COPYING": "GNU General Public License"}, "is the GPL"},
		{"github.com/nexus-rpc/nexus-proto-annotations", map[string]string{"LICENSE": mit}, "has a license now"},
	} {
		err := newModule(t, c.path, c.files).readLicenses()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.path, err, c.says)
		}
	}
}

func TestEachTextIsWrittenOnce(t *testing.T) {
	got := renderNotices([]module{
		{Path: "a", Version: "v1", licenses: []license{{text: "One\r\n```\n", kind: "MIT"}, {text: "Thanks"}}},
		{Path: "b", Version: "v2", licenses: []license{{text: "One\n```", kind: "MIT"}}},
	})
	for _, want := range []string{"| a | v1 | MIT | 1, 2 |\n| b | v2 | MIT | 1 |\n",
		"\n## Text 1\n\n    One\n    ```\n\n## Text 2\n\n    Thanks\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Count(got, "    One") != 1 {
		t.Errorf("the text is there twice:\n%s", got)
	}
}

// TestThePrograms writes the notices of skyctl and skyd: it fails for a new dependency without a license that is known.
func TestThePrograms(t *testing.T) {
	out := filepath.Join(t.TempDir(), "THIRD_PARTY.md")
	err := run(context.Background(), []string{"-dir", "../..", "-out", out, "-platforms", "linux/amd64", "./cmd/skyctl",
		"./cmd/skyd"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| Go | go1.", "\n| github.com/spf13/cobra | v", "\n| go.temporal.io/server | v",
		"\n| k8s.io/client-go | v", "\n## Text 1\n"} {
		if !strings.Contains(string(content), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(string(content), "| github.com/sky-shift/") {
		t.Error("skyctl itself is third-party software")
	}
}
