package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// readFile flattens config.yaml into setting → text. A file that isn't there sets nothing; a key that is no setting is an
// error, since a misspelt one would otherwise be ignored in silence.
func readFile(name string) (map[string]string, error) {
	data, err := readOwn(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("reading the settings in %s: %s", name, strings.Join(strings.Fields(err.Error()), " "))
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(string(asJSON)))
	d.UseNumber() // a port stays as it was written
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("reading the settings in %s: %w", name, err)
	}
	if tree == nil {
		return nil, nil
	}
	values := map[string]string{}
	if err := flatten(tree, "", values); err != nil {
		return nil, fmt.Errorf("reading the settings in %s: %w", name, err)
	}
	return values, nil
}

// readOwn reads a file that nobody else can have written: neither into it nor into its directory.
func readOwn(name string) ([]byte, error) {
	dir, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if err := guarded(filepath.Dir(name), dir); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := guarded(name, info); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

func flatten(node any, key string, into map[string]string) error {
	if isSetting(key) {
		v, err := scalar(node)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		into[key] = v
		return nil
	}
	branch, ok := node.(map[string]any)
	switch {
	case key != "" && !isBranch(key):
		return fmt.Errorf("unknown key %s; %s", key, known(key))
	case node == nil: // a heading with nothing under it
		return nil
	case !ok:
		return fmt.Errorf("%s should have keys below it; %s", where(key), known(key))
	}
	for k, v := range branch {
		if key != "" {
			k = key + "." + k
		}
		if err := flatten(v, k, into); err != nil {
			return err
		}
	}
	return nil
}

// scalar writes a value as a flag would have it; a list becomes text separated by commas.
func scalar(node any) (string, error) {
	switch v := node.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case []any:
		var items []string
		for _, item := range v {
			s, err := scalar(item)
			if err != nil {
				return "", err
			}
			items = append(items, s)
		}
		return strings.Join(items, ","), nil
	case nil:
		return "", errors.New("has no value; give one or remove the line")
	}
	return "", fmt.Errorf("the value should be text, a number or a list, not %v", node)
}

func where(key string) string {
	if key == "" {
		return "the file"
	}
	return key
}

func isSetting(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.key == key })
}

func isBranch(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
}

// known lists the settings nearest to a key that is none: those under the same heading, or all headings.
func known(key string) string {
	heading, _, _ := strings.Cut(key, ".")
	var near, top []string
	for _, s := range settings {
		h, _, _ := strings.Cut(s.key, ".")
		if h == heading {
			near = append(near, s.key)
		}
		if !slices.Contains(top, h) {
			top = append(top, h)
		}
	}
	if near == nil {
		near = top
	}
	return "known are " + strings.Join(near, ", ")
}
