package yamltext

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AddItem adds an item at the beginning of the list at a path. It creates the list and the mappings above it.
func (d *Document) AddItem(item any, path ...string) (*Document, error) {
	_, key, old := d.find(path...)
	switch {
	case key == nil || isEmpty(old):
		return d.addValue([]any{item}, path)
	case old.Kind != yaml.SequenceNode:
		return nil, formErrorf("its %s is not a list", strings.Join(path, "."))
	}
	return d.check(d.prependItem(key, old, item), path, func(v map[string]any) {
		setAt(v, append([]any{item}, listAt(v, path)...), path)
	})
}

// addValue adds a value at a path that has none, and the mappings above it.
func (d *Document) addValue(value any, path []string) (*Document, error) {
	for depth := len(path); depth > 0; depth-- {
		mapping, key, old := d.find(path[:depth]...)
		wanted := func(v map[string]any) { setAt(v, value, path[:depth]) }
		switch {
		case key != nil && isEmpty(old):
			return d.check(d.fillValue(mapping, key, old, value), path, wanted)
		case key != nil:
			return nil, formErrorf("its %s is not a mapping", strings.Join(path[:depth], "."))
		case mapping != nil || depth == 1:
			return d.check(d.addKey(mapping, depth == 1, path[depth-1], value), path, wanted)
		}
		value = map[string]any{path[depth-1]: value}
	}
	return nil, formErrorf("no path was given")
}

// RemoveItem removes an item of the list at a path. A list without items stays as [].
func (d *Document) RemoveItem(index int, path ...string) (*Document, error) {
	_, key, list := d.find(path...)
	if list == nil || list.Kind != yaml.SequenceNode || index >= len(list.Content) {
		return nil, formErrorf("its %s has no item %d", strings.Join(path, "."), index+1)
	}
	return d.check(d.cutItem(key, list, index), path, func(v map[string]any) {
		setAt(v, slices.Delete(slices.Clone(listAt(v, path)), index, index+1), path)
	})
}

// ReplaceItem replaces an item of the list at a path.
func (d *Document) ReplaceItem(index int, item any, path ...string) (*Document, error) {
	_, _, list := d.find(path...)
	if list == nil || list.Kind != yaml.SequenceNode || index >= len(list.Content) {
		return nil, formErrorf("its %s has no item %d", strings.Join(path, "."), index+1)
	}
	return d.check(d.swapItem(list, index, item), path, func(v map[string]any) {
		changed := slices.Clone(listAt(v, path))
		changed[index] = item
		setAt(v, changed, path)
	})
}

// SetText sets the text at a path in the style of the former one. It creates the mappings above a new text.
func (d *Document) SetText(text string, path ...string) (*Document, error) {
	mapping, key, old := d.find(path...)
	wanted := func(v map[string]any) { setAt(v, text, path) }
	switch last := len(path) - 1; {
	case key == nil && (mapping != nil && len(mapping.Content) > 0 || last == 0):
		return d.check(d.addKey(mapping, last == 0, path[last], text), path, wanted)
	case key == nil:
		return d.addValue(map[string]any{path[last]: text}, path[:last])
	case old.Kind != yaml.ScalarNode:
		return nil, formErrorf("its %s is not a text", strings.Join(path, "."))
	}
	changed, err := d.check(d.swapScalar(key, old, text, old.Style), path, wanted)
	if err != nil { // a plain text may mean something else
		changed, err = d.check(d.swapScalar(key, old, text, yaml.DoubleQuotedStyle), path, wanted)
	}
	return changed, err
}

// RenameKey gives the key at a path another name, in the same place.
func (d *Document) RenameKey(name string, path ...string) (*Document, error) {
	renamed := append(slices.Clone(path[:len(path)-1]), name)
	_, key, _ := d.find(path...)
	switch {
	case key == nil:
		return nil, formErrorf("it has no %s", strings.Join(path, "."))
	case d.Has(renamed...):
		return nil, formErrorf("it has %s already", strings.Join(renamed, "."))
	}
	end, err := d.nodeEnd(key)
	if err != nil {
		return nil, err
	}
	wanted := func(v map[string]any) {
		value := d.ValueAt(path...)
		deleteAt(v, path)
		setAt(v, value, renamed)
	}
	if key.Style == 0 {
		changed, err := d.check(d.splice(d.offset(key), end, name), path, wanted)
		if err == nil {
			return changed, nil
		}
	}
	return d.check(d.splice(d.offset(key), end, formatFlow(name)), path, wanted)
}

// RemoveKey removes a key whose value is on the same line, or empty.
func (d *Document) RemoveKey(path ...string) (*Document, error) {
	mapping, key, value := d.find(path...)
	if key == nil {
		return d, nil
	}
	_, above, _ := d.find(path[:len(path)-1]...)
	return d.check(d.cutKey(above, mapping, key, value), path, func(v map[string]any) { deleteAt(v, path) })
}

// RestoreForm writes an empty value at a path as an earlier version of the text had it: as null, as [] or {}, or not at
// all. It changes nothing if the value is not empty, or the earlier one was not.
func (d *Document) RestoreForm(earlier *Document, path ...string) (*Document, error) {
	_, key, value := d.find(path...)
	if key == nil || !isEmpty(value) {
		return d, nil
	}
	_, oldKey, oldValue := earlier.find(path...)
	switch {
	case oldKey == nil:
		return d.RemoveKey(path...)
	case !isEmpty(oldValue):
		return d, nil
	}
	start, end, err := earlier.valueSpan(oldKey, oldValue)
	if err != nil {
		return d, nil //nolint:nilerr // its form is too unusual to be kept
	}
	return d.check(d.swapValue(key, value, earlier.text[start:end]), path,
		func(v map[string]any) { setAt(v, earlier.ValueAt(path...), path) })
}

// isEmpty reports whether a value is null, "", [] or {}.
func isEmpty(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Tag == "!!null" || n.Value == ""
	case yaml.SequenceNode, yaml.MappingNode:
		return len(n.Content) == 0
	}
	return false
}

// check parses a changed text, and compares its value with the former one after a change.
func (d *Document) check(e edit, path []string, change func(map[string]any)) (*Document, error) {
	if e.err != nil {
		return nil, e.err
	}
	changed, err := Parse([]byte(e.text))
	wanted, _ := normalize(d.value).(map[string]any)
	change(wanted)
	if err != nil || !reflect.DeepEqual(normalize(changed.value), normalize(wanted)) {
		return nil, formErrorf("its %s has a form that skyctl cannot change", strings.Join(path, "."))
	}
	return changed, nil
}

// normalize copies a value as it would be decoded.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = normalize(e)
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = e
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, normalize(e))
		}
		return out
	}
	return v
}

func setAt(v map[string]any, value any, path []string) {
	for _, name := range path[:len(path)-1] {
		below, _ := v[name].(map[string]any)
		if below == nil {
			below = map[string]any{}
		}
		v[name], v = below, below
	}
	v[path[len(path)-1]] = value
}

func deleteAt(v map[string]any, path []string) {
	for _, name := range path[:len(path)-1] {
		v, _ = v[name].(map[string]any)
	}
	delete(v, path[len(path)-1])
}

func listAt(v map[string]any, path []string) []any {
	for _, name := range path[:len(path)-1] {
		v, _ = v[name].(map[string]any)
	}
	list, _ := v[path[len(path)-1]].([]any)
	return list
}
