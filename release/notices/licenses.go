package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// license is a file with a license or a notice.
type license struct {
	// file is its path in the module.
	file, text string
	// kind is the name of the license in SPDX's list; empty for a notice.
	kind string
}

// fileName matches the names of files with licenses and notices.
var fileName = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|unlicense|notice|patents|copyright)([-._].*)?$`)

// notice matches the names of files that are carried beside a license, and are none of code.
var notice = regexp.MustCompile(`(?i)^(notice|patents|copyright)|logo`)

// without are modules that have no file with a license, and what is known of them.
var without = map[string]string{
	"github.com/cactus/go-statsd-client/statsd": "MIT: its source files say that they are under an MIT-style " +
		"license, Copyright (c) 2012-2016 Eli Janssen",
	"github.com/nexus-rpc/nexus-proto-annotations": "not stated: neither the module nor its source files name one",
}

// phrases tell the kinds of licenses apart. The first kind of which the text has all phrases is taken;
// the text of the MPL names the GPL.
var phrases = []struct {
	kind string
	all  []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0"}},
	{"MPL-2.0", []string{"mozilla public license", "2.0"}},
	{"AGPL", []string{"gnu affero general public license"}},
	{"LGPL", []string{"gnu lesser general public license"}},
	{"GPL", []string{"gnu general public license"}},
	{"Unlicense", []string{"free and unencumbered software released into the public domain"}},
	{"CC-BY-SA-4.0", []string{"attribution-sharealike 4.0 international"}}, // of documentation
	{"CC-BY-4.0", []string{"attribution 4.0 international"}},
	{"CC0-1.0", []string{"cc0 1.0"}},
	{"MIT", []string{"permission is hereby granted, free of charge", "without warranty of any kind"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "endorse or promote products"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}},
	{"Zlib", []string{"this software is provided 'as-is'", "must not be misrepresented"}},
}

// copyleft are kinds that a program under the Apache License cannot link.
var copyleft = []string{"AGPL", "LGPL", "GPL"}

// classify returns the kind of a license; empty if it is unknown.
func classify(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	text = strings.NewReplacer("“", `"`, "”", `"`, "‘", "'", "’", "'").Replace(text)
	for _, p := range phrases {
		if !slices.ContainsFunc(p.all, func(phrase string) bool { return !strings.Contains(text, phrase) }) {
			return p.kind
		}
	}
	return ""
}

// readLicenses reads the licenses and notices of a module: those in its root, and those beside the packages that are
// linked. A module without one, of an unknown kind, or of one that must not be linked, is an error.
func (m *module) readLicenses() error {
	dirs := []string{m.Dir}
	for _, p := range m.packages {
		for d := p; d != m.Dir && strings.HasPrefix(d, m.Dir+string(filepath.Separator)); d = filepath.Dir(d) {
			dirs = append(dirs, d)
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := m.readDirectory(dir); err != nil {
			return err
		}
	}
	hasLicense := slices.ContainsFunc(m.licenses, func(l license) bool { return l.kind != "" })
	if known := without[m.Path] != ""; known == hasLicense {
		if known {
			return fmt.Errorf("%s has a license now: remove it from the table in release/notices", m.Path)
		}
		return fmt.Errorf("%s %s has no file with a license in %s: find out what it is under", m.Path, m.Version, m.Dir)
	}
	return nil
}

func (m *module) readDirectory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the licenses of %s: %w", m.Path, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !fileName.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the licenses of %s: %w", m.Path, err)
		}
		l := license{file: strings.TrimPrefix(path, m.Dir+string(filepath.Separator)), text: string(content)}
		if !notice.MatchString(e.Name()) {
			if l.kind = classify(l.text); l.kind == "" {
				return fmt.Errorf("%s %s: the license in %s is of no known kind", m.Path, m.Version, l.file)
			}
			if slices.Contains(copyleft, l.kind) {
				return fmt.Errorf("%s %s: %s is the %s, which a program under the Apache License cannot link", m.Path,
					m.Version, l.file, l.kind)
			}
		}
		m.licenses = append(m.licenses, l)
	}
	return nil
}
