package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sky-shift/skyctl/pkg/spelling"
)

// An unknown name is either misspelt or belongs to another program. In config.yaml an unknown key below one of skyctl's
// headings is an error, and so is a heading that resembles one of them. Every other heading belongs to another program,
// such as SkyShift's api_server: its command line is also called skyctl and reads the same file. Such headings are
// ignored with a note. Unknown variables $SKYCTL_… only get a note, because other programs can use such names.

// isForeignHeading reports whether a heading of config.yaml is neither one of skyctl's nor a misspelt one.
func isForeignHeading(key string) bool {
	heading, _, dotted := strings.Cut(key, ".")
	return !(dotted && isHeading(heading)) && nearestKnownName(key) == ""
}

// describeUnknownKey reports that a key is unknown, with a suggestion.
func describeUnknownKey(key string) string {
	if near := nearestKnownName(key); near != "" {
		return fmt.Sprintf("unknown key %s; did you mean %s?", key, near)
	}
	return fmt.Sprintf("unknown key %s; %s", key, describeKnownKeys(key))
}

// nearestKnownName returns the setting or heading that a name probably means. The name can have dots, dashes or
// underscores, be a variable, or have one or two wrong letters. The result is empty if no known name is similar.
func nearestKnownName(name string) string {
	if best := spelling.FindNearest(normalizeName(name), listKnownNames()); best != "" {
		return best
	}
	return settingWithLeaf(name)
}

// listKnownNames returns all settings and headings.
func listKnownNames() []string {
	var all []string
	for _, s := range settings {
		all = append(all, s.key)
		heading, _, _ := strings.Cut(s.key, ".")
		if !slices.Contains(all, heading) {
			all = append(all, heading)
		}
	}
	for _, name := range rke2Lists {
		all = append(all, "rke2."+name)
	}
	return all
}

// settingWithLeaf finds a setting that was written without its heading. It compares only last parts of several words,
// such as orphanGrace: a single word, such as version, can belong to another program.
func settingWithLeaf(name string) string {
	for _, s := range settings {
		leaf := s.key[strings.LastIndex(s.key, ".")+1:]
		if normalizeName(leaf) == normalizeName(name) && strings.ContainsFunc(leaf, unicode.IsUpper) {
			return s.key
		}
	}
	return ""
}

// normalizeName removes case, separators and the prefix SKYCTL_ from a name.
func normalizeName(name string) string {
	return spelling.NormalizeName(strings.TrimPrefix(strings.ToLower(name), "skyctl_"))
}

// ForeignNote lists the ignored headings of config.yaml. It is empty if there are none.
func (c *Config) ForeignNote() string {
	if len(c.ForeignKeys) == 0 {
		return ""
	}
	what := "unknown setting"
	if len(c.ForeignKeys) > 1 {
		what = "unknown settings"
	}
	return fmt.Sprintf("ignored %s in %s: %s; see skyctl help settings", what, c.ConfigFile(),
		strings.Join(c.ForeignKeys, ", "))
}

// otherVariablePrefixes are prefixes of variables that are not settings: of tests, make, install.sh and
// docker-compose.yml.
var otherVariablePrefixes = []string{"SKYCTL_TEST_", "SKYCTL_SETUP_", "SKYCTL_DIST", "SKYCTL_BIND", "SKYCTL_HOST"}

// UnknownVariableNotes returns a note, with a suggestion, for each variable $SKYCTL_… or $SKYCONF_… that is not a
// setting. environ has the format of os.Environ.
func UnknownVariableNotes(environ []string) []string {
	var notes []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		isOurs := strings.HasPrefix(name, "SKYCTL_") || strings.HasPrefix(name, "SKYCONF_")
		if !isOurs || value == "" || isVariable(name) {
			continue
		}
		note := "$" + name + " is not a setting and is ignored; see skyctl help settings"
		if near := nearestVariable(name); near != "" {
			note = fmt.Sprintf("$%s is not a setting and is ignored; did you mean $%s?", name, near)
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
	best, bestDistance := "", spelling.MaxTypos+1
	candidates := []string{EnvDir}
	for _, s := range settings {
		candidates = append(candidates, s.envName())
	}
	for _, v := range candidates {
		if distance := spelling.EditDistance(name, v); distance < bestDistance {
			best, bestDistance = v, distance
		}
	}
	return best
}

// IgnoredSettingNotes explains why settings that were set have no effect in combination with others.
func (c *Config) IgnoredSettingNotes() []string {
	var notes []string
	note := func(ignored bool, why string, keys ...string) {
		for _, key := range keys {
			if ignored && c.IsSet(key) {
				notes = append(notes, fmt.Sprintf("%s (%s) has no effect: %s", key, c.values[key].from, why))
			}
		}
	}
	note(c.external, "skyd dev does not run with an external etcd and Temporal", "dev.temporalPort",
		"dev.uiPort", "dev.etcdPort")
	note(c.SkyPilot.Endpoint == "", "it is for a remote SkyPilot API server, but skypilot.endpoint is not set",
		"skypilot.tokenFile")
	note(c.SkyPilot.Endpoint != "", "it is for a local SkyPilot API server, but skypilot.endpoint is set",
		"skypilot.port")
	note(c.Docker.Image != "", "docker.image is set, so no image is built", "docker.baseImage")
	return notes
}
