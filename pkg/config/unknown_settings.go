package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// What is unknown is either misspelt or somebody else's. In config.yaml a key below one of our headings is ours to
// judge, and so is a heading that looks like one of ours: both are errors. Every other heading is another program's,
// such as SkyShift's api_server: its command line is called skyctl too, and reads the same file. It is left alone, and
// named in a note. A variable $SKYCTL_… that is unknown is named in a note with the nearest name: nothing keeps other
// programs from having such variables.

// isForeignHeading says that a heading of config.yaml is not one of ours, nor one of ours misspelt.
func isForeignHeading(key string) bool {
	heading, _, dotted := strings.Cut(key, ".")
	return !(dotted && isHeading(heading)) && nearestKnownName(key) == ""
}

// describeUnknownKey says that a key is no setting, and which one may have been meant.
func describeUnknownKey(key string) string {
	if near := nearestKnownName(key); near != "" {
		return fmt.Sprintf("unknown key %s; did you mean %s?", key, near)
	}
	return fmt.Sprintf("unknown key %s; %s", key, describeKnownKeys(key))
}

// nearestKnownName is the setting or heading that a name is likely to stand for, however it is spelled: with dots,
// dashes or underscores, as a variable, or with a letter or two wrong. It is empty where the name is like none of ours.
func nearestKnownName(name string) string {
	best, bestOff := "", 0
	meant := normalizeName(name)
	for _, candidate := range listKnownNames() {
		own := normalizeName(candidate)
		off := editDistance(meant, own)
		if off > allowedTypos(own) || len(own) <= shortNameLength && meant[:min(1, len(meant))] != own[:1] {
			continue
		}
		if best == "" || off < bestOff {
			best, bestOff = candidate, off
		}
	}
	if best != "" {
		return best
	}
	return settingWithLeaf(name)
}

// listKnownNames are all settings and headings.
func listKnownNames() []string {
	var all []string
	for _, s := range settings {
		all = append(all, s.key)
		heading, _, _ := strings.Cut(s.key, ".")
		if !slices.Contains(all, heading) {
			all = append(all, heading)
		}
	}
	return all
}

// settingWithLeaf is the setting whose last part a name is, where that is of several words, such as orphanGrace: one
// that was written without its heading. A name of one word, such as version, may be anybody's.
func settingWithLeaf(name string) string {
	for _, s := range settings {
		leaf := s.key[strings.LastIndex(s.key, ".")+1:]
		if normalizeName(leaf) == normalizeName(name) && strings.ContainsFunc(leaf, unicode.IsUpper) {
			return s.key
		}
	}
	return ""
}

const shortNameLength = 4

// allowedTypos is how many letters of a name may be wrong.
func allowedTypos(name string) int { return min(2, len(name)/3) }

// normalizeName is a name without what its spellings differ in.
func normalizeName(name string) string {
	lower := strings.ToLower(name)
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, strings.TrimPrefix(lower, "skyctl_"))
}

// maxTypos is the largest distance that matters to anybody.
const maxTypos = 3

// editDistance is how many letters have to be inserted, removed, replaced, or swapped with their neighbour. Names whose
// lengths differ by more than maxTypos are not compared: one of them may be very long.
func editDistance(a, b string) int {
	if max(len(a), len(b))-min(len(a), len(b)) > maxTypos {
		return maxTypos + 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// ForeignNote says that headings of config.yaml are not ours; empty where there are none.
func (c *Config) ForeignNote() string {
	if len(c.ForeignKeys) == 0 {
		return ""
	}
	are := "is no setting"
	if len(c.ForeignKeys) > 1 {
		are = "are no settings"
	}
	return fmt.Sprintf("%s in %s %s of skyctl: left alone and not used; skyctl help settings lists what is",
		strings.Join(c.ForeignKeys, ", "), c.ConfigFile(), are)
}

// otherVariablePrefixes are variables of the project that are no settings: of tests, of make, of docker-compose.yml.
var otherVariablePrefixes = []string{"SKYCTL_TEST_", "SKYCTL_SETUP_", "SKYCTL_BIND", "SKYCTL_HOST"}

// UnknownVariableNotes says of each variable $SKYCTL_… or $SKYCONF_… that is no setting that it does nothing, and which
// name may have been meant. environ is as os.Environ gives it.
func UnknownVariableNotes(environ []string) []string {
	var notes []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		ours := strings.HasPrefix(name, "SKYCTL_") || strings.HasPrefix(name, "SKYCONF_")
		if !ours || value == "" || isVariable(name) {
			continue
		}
		note := "$" + name + " is no setting, and does nothing; skyctl help settings lists what is"
		if near := nearestVariable(name); near != "" {
			note = fmt.Sprintf("$%s is no setting, and does nothing; did you mean $%s?", name, near)
		}
		notes = append(notes, note)
	}
	slices.Sort(notes)
	return notes
}

func isVariable(name string) bool {
	return name == EnvDir || slices.ContainsFunc(settings, func(s setting) bool { return s.envName() == name }) ||
		slices.ContainsFunc(otherVariablePrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

func nearestVariable(name string) string {
	best, bestOff := "", maxTypos+1
	candidates := []string{EnvDir}
	for _, s := range settings {
		candidates = append(candidates, s.envName())
	}
	for _, v := range candidates {
		if off := editDistance(name, v); off < bestOff {
			best, bestOff = v, off
		}
	}
	return best
}

// IgnoredSettingNotes says of settings that were given and do nothing beside others why that is so.
func (c *Config) IgnoredSettingNotes() []string {
	var notes []string
	note := func(ignored bool, why string, keys ...string) {
		for _, key := range keys {
			if ignored && c.IsSet(key) {
				notes = append(notes, fmt.Sprintf("%s (%s) does nothing: %s", key, c.given[key].from, why))
			}
		}
	}
	note(c.external, "an external etcd and Temporal are named, so that no skyd dev runs", "dev.temporalPort",
		"dev.uiPort", "dev.etcdPort")
	note(c.SkyPilot.Endpoint == "", "it is for a remote SkyPilot API server, and skypilot.endpoint names none",
		"skypilot.tokenFile")
	note(c.SkyPilot.Endpoint != "", "it is of a local SkyPilot API server, and skypilot.endpoint names a remote one",
		"skypilot.port")
	note(c.Docker.Image != "", "docker.image names an image that is used as it is", "docker.baseImage")
	return notes
}
