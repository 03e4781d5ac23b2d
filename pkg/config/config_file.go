package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// fileContent is the content of config.yaml.
type fileContent struct {
	values  map[string]string // setting → text
	foreign []string          // headings of other programs
	rke2    map[string]any    // the values of rke2Lists
}

// readConfigFile flattens config.yaml into setting → text. The file does not have to exist. A misspelt key is an error,
// because it would otherwise be ignored. Headings of other programs are listed (see unknown_settings.go).
func readConfigFile(name string) (fileContent, error) {
	data, err := ReadTrustedFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fileContent{}, nil
	}
	if err != nil {
		return fileContent{}, fmt.Errorf("reading the settings: %w", err)
	}
	content, err := parseConfigFile(data)
	if err != nil {
		return fileContent{}, fmt.Errorf("reading the settings in %s: %w", name, err)
	}
	return content, nil
}

func parseConfigFile(data []byte) (fileContent, error) {
	if hasSecondDocument(data) {
		return fileContent{}, errors.New("a line --- starts a second document, which would be ignored: remove the line")
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return fileContent{}, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber() // keep the text of numbers
	if err := d.Decode(&tree); err != nil {
		return fileContent{}, err
	}
	content := fileContent{values: map[string]string{}, rke2: map[string]any{}}
	if tree == nil {
		return content, nil
	}
	if err := content.flattenNode(tree, "", 0); err != nil {
		return fileContent{}, err
	}
	slices.Sort(content.foreign)
	return content, nil
}

// hasSecondDocument reports whether a line --- follows anything but comments and empty lines.
func hasSecondDocument(data []byte) bool {
	started := false
	for line := range bytes.Lines(data) {
		text := bytes.TrimSpace(line)
		switch {
		case bytes.HasPrefix(line, []byte("---")) && (len(text) == 3 || line[3] == ' '):
			if started {
				return true
			}
			started = true
		case len(text) > 0 && text[0] != '#' && text[0] != '%':
			started = true
		}
	}
	return false
}

// flattenNode adds the settings below a node of the tree. depth is the number of keys on the path to it, which can
// differ from the number of dots: a key can contain dots.
func (c *fileContent) flattenNode(node any, key string, depth int) error {
	if isSettingKey(key) {
		v, err := formatScalar(node)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if _, twice := c.values[key]; twice {
			return fmt.Errorf("%s is set twice, once with dots in its name: remove one of the two", key)
		}
		c.values[key] = v
		return nil
	}
	if name, is := strings.CutPrefix(key, "rke2."); is && slices.Contains(rke2Lists, name) {
		if _, twice := c.rke2[name]; twice {
			return fmt.Errorf("%s is set twice, once with dots in its name: remove one of the two", key)
		}
		c.rke2[name] = node
		return nil
	}
	branch, ok := node.(map[string]any)
	switch {
	case key != "" && !isHeading(key):
		if depth == 1 && isForeignHeading(key) {
			c.foreign = append(c.foreign, key)
			return nil
		}
		return errors.New(describeUnknownKey(key))
	case node == nil: // a heading with nothing under it
		return nil
	case !ok:
		return fmt.Errorf("%s must have keys below it; %s", describeKey(key), describeKnownKeys(key))
	}
	for k, v := range branch {
		if key != "" {
			k = key + "." + k
		}
		if err := c.flattenNode(v, k, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// formatScalar formats a value like the value of a flag. The items of a list are joined with commas.
func formatScalar(node any) (string, error) {
	switch v := node.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []any:
		var items []string
		for _, item := range v {
			s, err := formatScalar(item)
			if err != nil {
				return "", err
			}
			items = append(items, s)
		}
		return strings.Join(items, ","), nil
	case nil:
		return "", errors.New("has no value; set one or remove the line")
	}
	return "", fmt.Errorf("the value must be text, a number, true, false or a list, not %v", node)
}

func describeKey(key string) string {
	if key == "" {
		return "the file"
	}
	return key
}

func isSettingKey(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.key == key })
}

func isHeading(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
}

// describeKnownKeys lists the valid keys for an unknown one: the settings under its heading, or all headings.
func describeKnownKeys(key string) string {
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
	if heading == "rke2" {
		for _, name := range rke2Lists {
			near = append(near, "rke2."+name)
		}
	}
	return "valid keys: " + strings.Join(near, ", ")
}
