package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// describeNode says what kind of value a node is, without the value.
func describeNode(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "no value"
	case n.ShortTag() == "!!bool":
		return "true or false"
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		return "a number"
	}
	return "text"
}

// readText returns a value that is text, or a number, which is taken as it is written.
func (r *fileReader) readText(n *yaml.Node, at, want string) (string, bool) {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode || tag == "!!null" || tag == "!!binary":
		r.addError(n, at, describeNode(n), want)
	case tag == "!!bool":
		r.addError(n, at, describeNode(n), want+"; text that is a truth value in YAML needs quotes")
	case tag == "!!str" || tag == "!!int" || tag == "!!float" || tag == "!!timestamp":
		return n.Value, true
	default:
		r.addError(n, at, "a value with a tag", want)
	}
	return "", false
}

// readScalar reads a field that has one value.
func (r *fileReader) readScalar(n *yaml.Node, f api.FileField, at string) (any, bool) {
	r.setPlace(n, at, n.Value)
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!null" || n.ShortTag() == "!!str" && n.Value == "") {
		want := f.Want
		if !f.Required {
			want += "; for the default, leave the field out"
		}
		r.addError(n, at, "no value", want)
		return nil, false
	}
	value, ok := r.parseScalar(n, f, at)
	if !ok || r.lenient {
		return value, ok
	}
	normal, ok := r.normalizeValue(n, f, at, n.Value)
	if text, isText := value.(string); isText && ok && normal != text {
		value = normal
	}
	return value, ok
}

// parseScalar parses a value as the type of its field.
func (r *fileReader) parseScalar(n *yaml.Node, f api.FileField, at string) (any, bool) {
	tag := n.ShortTag()
	switch f.Type {
	case api.TypeCount:
		if number, err := strconv.Atoi(n.Value); err == nil && tag == "!!int" {
			return number, true
		}
	case api.TypeNumber:
		if number, err := strconv.ParseFloat(n.Value, 64); err == nil && (tag == "!!int" || tag == "!!float") {
			return number, true
		}
	case api.TypeSwitch:
		if tag == "!!bool" {
			return strings.EqualFold(n.Value, "true"), true
		}
	default:
		text, ok := r.readText(n, at, f.Want)
		return text, ok
	}
	found, want := describeNode(n), f.Want
	if n.Kind == yaml.ScalarNode {
		found = quoteValue(at, n.Value)
	}
	if isNumber := tag == "!!str" && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0; isNumber {
		found += " in quotes"
		want += ", without quotes"
	}
	r.addError(n, at, found, want)
	return nil, false
}

// normalizeValue checks a value, and returns its normal form.
func (r *fileReader) normalizeValue(n *yaml.Node, f api.FileField, at, value string) (string, bool) {
	if len(f.Values) == 1 && f.Required && value != f.Values[0] {
		r.addError(n, at, quoteValue(at, value), f.Want)
		return "", false
	}
	normal, err := f.NormalizeValues([]string{value})
	if err != nil {
		r.addFieldErrors(n, at, err)
		return "", false
	}
	return strings.Join(normal, ","), true
}

// addFieldErrors adds the errors of a check of one value.
func (r *fileReader) addFieldErrors(n *yaml.Node, at string, err error) {
	for _, e := range api.FieldErrorsOf(err) {
		r.addError(n, at, quoteValue(at, e.Value), api.WordForFile(e.Want))
	}
}

// readEntries reads a map, one value by key at a time; a value of nil is left out.
func (r *fileReader) readEntries(n *yaml.Node, f api.FileField, at string,
	readValue func(e entry, entryAt string) any) object {
	if n.Kind != yaml.MappingNode {
		r.addError(n, at, describeNode(n), f.Want)
		return nil
	}
	read := object{}
	for _, e := range r.listEntries(n, at, 0) {
		entryAt := fmt.Sprintf("%s[%s]", at, e.key.Value)
		r.setPlace(e.value, entryAt, e.value.Value)
		if value := readValue(e, entryAt); value != nil {
			read[e.key.Value] = value
		}
	}
	return read
}

// readMap reads texts by key.
func (r *fileReader) readMap(n *yaml.Node, f api.FileField, at string) object {
	return r.readEntries(n, f, at, func(e entry, entryAt string) any {
		text, ok := r.readText(e.value, entryAt, "text; an empty one is written as \"\"")
		if ok && !r.lenient {
			_, err := f.NormalizeValues([]string{e.key.Value + "=" + text})
			r.addFieldErrors(e.value, entryAt, err)
			ok = err == nil
		}
		if !ok {
			return nil
		}
		return text
	})
}

// readValueMap reads texts, numbers and truth values, or lists of such, by key. All become texts.
func (r *fileReader) readValueMap(n *yaml.Node, f api.FileField, at string) object {
	return r.readEntries(n, f, at, func(e entry, entryAt string) any {
		items := []*yaml.Node{e.value}
		if e.value.Kind == yaml.SequenceNode {
			items = e.value.Content
		}
		var texts []string
		for _, item := range items {
			if text, ok := r.readEntry(e.key, r.resolveAlias(item), f, entryAt); ok {
				texts = append(texts, text)
			}
		}
		if len(items) == 0 && !r.lenient {
			r.addError(e.value, entryAt, "an empty list", "a text, or a list with one text at least")
		}
		switch len(texts) {
		case 0:
			return nil
		case 1:
			return texts[0]
		}
		return texts
	})
}

// readEntry reads one text of a TypeValueMap.
func (r *fileReader) readEntry(key, n *yaml.Node, f api.FileField, at string) (string, bool) {
	if n == nil {
		return "", false
	}
	text, ok := n.Value, n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool"
	if !ok {
		text, ok = r.readText(n, at, "a text, or a list of texts")
	}
	if !ok || r.lenient {
		return text, ok
	}
	_, err := f.NormalizeValues([]string{key.Value + "=" + text})
	for _, e := range api.FieldErrorsOf(err) {
		found := "a hidden value" // that no message may show
		if e.Value != "" {
			found = quoteValue(at, e.Value)
		}
		r.addError(n, at, found, api.WordForFile(e.Want))
	}
	return text, err == nil
}

// readList reads a list of texts.
func (r *fileReader) readList(n *yaml.Node, f api.FileField, at string) []string {
	if n.Kind != yaml.SequenceNode {
		r.addError(n, at, describeNode(n), fmt.Sprintf("a list, such as [%q]", f.Example))
		return nil
	}
	var values []string
	nodes := map[string]*yaml.Node{}
	for _, item := range n.Content {
		if item = r.resolveAlias(item); item == nil {
			return nil
		}
		if text, ok := r.readText(item, at, f.Want); ok {
			r.setPlace(item, fmt.Sprintf("%s[%s]", at, text), text)
			values, nodes[text] = append(values, text), item
		}
	}
	if r.lenient || len(values) == 0 {
		return values
	}
	normal, err := f.NormalizeValues(values)
	for _, e := range api.FieldErrorsOf(err) {
		item := nodes[e.Value]
		if item == nil {
			item = n
		}
		r.addError(item, at, quoteValue(at, e.Value), api.WordForFile(e.Want))
	}
	return normal
}
