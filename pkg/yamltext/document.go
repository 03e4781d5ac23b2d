// Package yamltext changes single entries of YAML and JSON files that belong to people. All other bytes of a file stay:
// comments, order, quotes, anchors and line ends. Every change is checked: the changed text must decode to the former
// value with that change and nothing else, or the change is refused.
//
// A Document never changes; a change returns another one.
package yamltext

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Document is a text with one YAML document, whose value is a mapping or nothing.
type Document struct {
	text  string
	lines []int // offsets of the beginnings of lines, as the YAML parser counts them
	// top is the mapping of the document; nil if it has no value.
	top   *yaml.Node
	value map[string]any
}

// FormError says that a text has a form that this package cannot change, or is not YAML.
type FormError struct{ Why string }

func (e *FormError) Error() string { return e.Why }

const byteOrderMark = "\ufeff"

// Parse reads a text. Its error is a *FormError.
func Parse(text []byte) (*Document, error) {
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
		return nil, &FormError{"it is not UTF-8 text"}
	}
	d := &Document{text: string(text)}
	d.lines = findLines(d.text)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.value = map[string]any{}
		return d, nil
	case err != nil:
		return nil, &FormError{"it is not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, &FormError{"it has several documents (separated by ---)"}
	}
	if err := first.Decode(&d.value); err != nil {
		return nil, &FormError{"it is not a mapping with different keys"}
	}
	if d.value == nil {
		d.value = map[string]any{}
	}
	if top := first.Content[0]; top.Kind == yaml.MappingNode {
		d.top = top
	}
	return d, nil
}

// Bytes is the text.
func (d *Document) Bytes() []byte { return []byte(d.text) }

// Value is the decoded value. Callers must not change it.
func (d *Document) Value() map[string]any { return d.value }

// HasComments reports whether the text has more than its value: comments, directives or marks.
func (d *Document) HasComments() bool {
	for _, l := range strings.Split(d.text, "\n") {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "#") || strings.HasPrefix(l, "---") ||
			strings.Contains(l, " #") {
			return true
		}
	}
	return false
}

// findLines returns the offset of each line of a text. YAML knows five kinds of line breaks.
func findLines(text string) []int {
	lines := []int{0}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if r == '\r' && strings.HasPrefix(text[at+1:], "\n") {
			size = 2
		}
		at += size
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
			lines = append(lines, at)
		}
	}
	return lines
}

// newline is the line break of the text.
func (d *Document) newline() string {
	if at := strings.IndexByte(d.text, '\n'); at > 0 && d.text[at-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineOf returns the index of the line with an offset.
func (d *Document) lineOf(offset int) int {
	line := 0
	for line+1 < len(d.lines) && d.lines[line+1] <= offset {
		line++
	}
	return line
}

// lineEnd is the offset after a line with its line break.
func (d *Document) lineEnd(line int) int {
	if line+1 < len(d.lines) {
		return d.lines[line+1]
	}
	return len(d.text)
}

// lineText is a line without its line break.
func (d *Document) lineText(line int) string {
	return strings.TrimRight(d.text[d.lines[line]:d.lineEnd(line)], "\n\r\u0085\u2028\u2029")
}

// offset is where a node begins. The parser counts lines and characters from 1, and no byte order mark.
func (d *Document) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(d.lines) {
		return len(d.text)
	}
	at := d.lines[n.Line-1]
	if at == 0 && strings.HasPrefix(d.text, byteOrderMark) {
		at += len(byteOrderMark)
	}
	for i := 1; i < n.Column && at < len(d.text); i++ {
		_, size := utf8.DecodeRuneInString(d.text[at:])
		at += size
	}
	return at
}

// find returns the key and the value at a path, and the mapping that has or would have the key. key and value are nil
// if there are none; the mapping is nil if there is none, either.
func (d *Document) find(path ...string) (mapping, key, value *yaml.Node) {
	value = d.top
	for _, name := range path {
		mapping, key, value = value, nil, findValue(value, name)
		if mapping == nil || mapping.Kind != yaml.MappingNode {
			return nil, nil, nil
		}
		for i := 0; i < len(mapping.Content); i += 2 {
			if mapping.Content[i].Value == name {
				key = mapping.Content[i]
			}
		}
	}
	return mapping, key, value
}

func findValue(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// Has reports whether there is a key at a path, whatever its value.
func (d *Document) Has(path ...string) bool {
	_, key, _ := d.find(path...)
	return key != nil
}

// ValueAt returns the decoded value at a path; nil if there is none.
func (d *Document) ValueAt(path ...string) any {
	var value any = d.value
	for _, name := range path {
		m, _ := value.(map[string]any)
		value = m[name]
	}
	return value
}

func formErrorf(format string, args ...any) error { return &FormError{fmt.Sprintf(format, args...)} }
