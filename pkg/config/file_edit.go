package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// FileChange is a change of one setting in config.yaml.
type FileChange struct {
	Key, Value string
	Remove     bool // removes the setting; Value has no meaning
}

// CheckKey returns an error with a suggestion if a key is not a setting that has one value.
func CheckKey(key string) error {
	name, is := strings.CutPrefix(key, "rke2.")
	switch {
	case is && slices.Contains(rke2Lists, name):
		return fmt.Errorf("%s has no single value, but the form that a cluster's file has: write it into config.yaml "+
			"with an editor; see skyctl explain cluster.spec.%[1]s", key)
	case !isSettingKey(key):
		return errors.New(describeUnknownKey(key))
	}
	return nil
}

// ChangeFile changes settings in config.yaml, and keeps its comments and everything else in it. The file is not changed
// if it would not load afterwards. changed is false if it has those values already. env is as in Load.
func (c *Config) ChangeFile(env func(string) string, changes ...FileChange) (changed bool, err error) {
	name := c.ConfigFile()
	text, err := ReadTrustedFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("reading the settings: %w", err)
	}
	after, err := changeText(text, changes)
	if err != nil {
		return false, fmt.Errorf("changing %s: %w", name, err)
	}
	if string(after) == string(text) {
		return false, nil
	}
	if err := c.checkFileText(after, env); err != nil {
		return false, fmt.Errorf("%s is not changed: %w", name, err)
	}
	if err := MakeDir(c.Dir); err != nil {
		return false, err
	}
	target := name
	if real, err := filepath.EvalSymlinks(name); err == nil { // a link to a file that is kept elsewhere stays
		target = real
	}
	if err := atomicfile.Write(target, after); err != nil {
		return false, fmt.Errorf("changing %s: %w", name, err)
	}
	return true, nil
}

// checkFileText checks that a text of config.yaml loads, whatever flags and the environment say beside it.
func (c *Config) checkFileText(text []byte, env func(string) string) error {
	file, err := parseConfigFile(text)
	if err != nil {
		return err
	}
	alone := &Config{Dir: c.Dir, LedgerDir: c.LedgerDir}
	return alone.readSettings(nil, func(name string) string {
		if name == "HOME" {
			return env(name)
		}
		return ""
	}, file)
}

// changeText is the pure part of ChangeFile.
func changeText(text []byte, changes []FileChange) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		path, exists := findFilePath(d, change.Key)
		switch {
		case change.Remove && exists:
			d, err = d.RemoveKey(path...)
		case !change.Remove:
			d, err = d.SetText(change.Value, path...)
		}
		if err != nil {
			return nil, fmt.Errorf("%w; change %s with an editor", err, change.Key)
		}
	}
	return d.Bytes(), nil
}

// findFilePath returns the path of a setting in config.yaml, where a key can be written with its dots or below its
// heading. If the file does not have it, that is the path to add it at.
func findFilePath(d *yamltext.Document, key string) (path []string, exists bool) {
	for _, path := range listKeyPaths(key) {
		if d.Has(path...) {
			return path, true
		}
	}
	for _, path := range listKeyPaths(key) {
		above, _ := d.ValueAt(path[:len(path)-1]...).(map[string]any)
		if len(path) == 1 || len(above) > 0 {
			return path, false
		}
	}
	return []string{key}, false
}

// listKeyPaths returns the ways to nest a key, the deepest first.
func listKeyPaths(key string) [][]string {
	head, rest, dotted := strings.Cut(key, ".")
	if !dotted {
		return [][]string{{key}}
	}
	var all [][]string
	for _, below := range listKeyPaths(rest) {
		all = append(all, append([]string{head}, below...))
	}
	for _, below := range listKeyPaths(rest) {
		all = append(all, append([]string{head + "." + below[0]}, below[1:]...))
	}
	slices.SortStableFunc(all, func(a, b []string) int { return len(b) - len(a) })
	return all
}
