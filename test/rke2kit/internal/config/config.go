// Package config reads a node's configuration as RKE2 does: config.yaml, then
// config.yaml.d/*.yaml in alphabetical order, then the command line.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultFile is where RKE2 looks for its configuration.
const DefaultFile = "/etc/rancher/rke2/config.yaml"

// Values holds every setting by its key; a scalar is a list of one.
type Values map[string][]string

// Load reads file and its drop-ins. A missing file is no error. The
// second result holds one warning for each key the role does not have.
func Load(file string, role Role) (Values, []string, error) {
	files := []string{file}
	dropIns, err := filepath.Glob(filepath.Join(file+".d", "*.yaml"))
	if err != nil {
		return nil, nil, fmt.Errorf("list drop-ins of %s: %w", file, err)
	}
	sort.Strings(dropIns)
	files = append(files, dropIns...)

	merged := Values{}
	var warnings []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read configuration: %w", err)
		}
		unknown, err := merged.mergeDocument(data, role)
		if err != nil {
			return nil, nil, fmt.Errorf("parse configuration %s: %w", f, err)
		}
		for _, key := range unknown {
			warnings = append(warnings, fmt.Sprintf("Unknown flag --%s found in %s, skipping", key, filepath.Base(f)))
		}
	}
	return merged, warnings, nil
}

// mergeDocument lays one document over v: a key replaces what stood before it, `key+`
// adds to it. It returns the keys the role does not know.
func (v Values) mergeDocument(data []byte, role Role) ([]string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, errors.New("want a mapping of keys to values")
	}
	var unknown []string
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, add := strings.CutSuffix(top.Content[i].Value, "+")
		if !role.knowsKey(key) {
			unknown = append(unknown, key)
			continue
		}
		values, err := scalarValues(top.Content[i+1])
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
		if add {
			values = append(append([]string(nil), v[key]...), values...)
		}
		v[key] = values
	}
	return unknown, nil
}

func scalarValues(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return scalarValues(n.Alias)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		var out []string
		for _, item := range n.Content {
			values, err := scalarValues(item)
			if err != nil {
				return nil, err
			}
			out = append(out, values...)
		}
		return out, nil
	default:
		return nil, errors.New("want a value or a list of values")
	}
}

// OverrideWithArgs lays command-line arguments (--key value, --key=value, --switch)
// over v. A key given on the command line replaces the file's values; given
// again there it adds to itself.
func (v Values) OverrideWithArgs(args []string, role Role) error {
	seen := map[string]bool{}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			return fmt.Errorf("unexpected argument %q: settings are given as --key=value", args[i])
		}
		key, value, hasValue := strings.Cut(name, "=")
		if !role.knowsKey(key) {
			return fmt.Errorf("flag provided but not defined: --%s", key)
		}
		if !hasValue {
			value = "true"
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
				value = args[i]
			}
		}
		if !seen[key] {
			v[key] = nil
			seen[key] = true
		}
		v[key] = append(v[key], value)
	}
	return nil
}

// LastValue returns the last value of key, or fallback.
func (v Values) LastValue(key, fallback string) string {
	if list := v[key]; len(list) > 0 && list[len(list)-1] != "" {
		return list[len(list)-1]
	}
	return fallback
}

// Switch returns whether key is set to true. It returns an error for another value than true and false.
func (v Values) Switch(key string) (bool, error) {
	text := v.LastValue(key, "false")
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s %q: want true or false", key, text)
	}
	return on, nil
}

// AllValues returns all values of key, comma-separated ones split.
func (v Values) AllValues(key string) []string {
	var out []string
	for _, item := range v[key] {
		for _, part := range strings.Split(item, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// ReadSecret returns the value of key, or the content of the file that key-file
// names, or "".
func (v Values) ReadSecret(key string) (string, error) {
	if value := v.LastValue(key, ""); value != "" {
		return strings.TrimSpace(value), nil
	}
	file := v.LastValue(key+"-file", "")
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s-file: %w", key, err)
	}
	return strings.TrimSpace(string(data)), nil
}
