package yamltext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// edit is a changed text that is not checked yet.
type edit struct {
	text string
	err  error
}

// splice replaces a part of the text.
func (d *Document) splice(start, end int, by string) edit {
	return edit{text: d.text[:start] + by + d.text[end:]}
}

// insertLines inserts whole lines before a line. At the end of a text without a final line break, the text has none
// afterwards either.
func (d *Document) insertLines(line int, lines []string) edit {
	block := strings.Join(lines, d.newline())
	if line < len(d.lines) && d.lines[line] < len(d.text) {
		return d.splice(d.lines[line], d.lines[line], block+d.newline())
	}
	if d.text == "" || d.endsWithBreak() {
		return d.splice(len(d.text), len(d.text), block+d.newline())
	}
	return d.splice(len(d.text), len(d.text), d.newline()+block)
}

func (d *Document) endsWithBreak() bool { return d.lines[len(d.lines)-1] == len(d.text) }

// cutLines removes whole lines. Without lines behind them, the text ends as it did.
func (d *Document) cutLines(from, to int) edit {
	start, end := d.lines[from], len(d.text)
	if to < len(d.lines) {
		end = d.lines[to]
	}
	if end == len(d.text) && !d.endsWithBreak() && from > 0 {
		start = d.lines[from-1] + len(d.lineText(from-1))
	}
	return d.splice(start, end, "")
}

// isFlow reports whether a mapping or a list is written with brackets, as in JSON.
func isFlow(n *yaml.Node) bool { return n != nil && n.Style&yaml.FlowStyle != 0 }

// addKey adds a key to a mapping; to the one of the document if it is nil.
func (d *Document) addKey(mapping *yaml.Node, top bool, key string, value any) edit {
	switch {
	case isFlow(mapping) && len(mapping.Content) > 0:
		return d.addFlowKey(mapping, key, value)
	case isFlow(mapping):
		start := d.offset(mapping) + 1
		return d.splice(start, start, formatFlow(key)+": "+formatFlow(value))
	case mapping == nil || top:
		lines, err := formatBlock(map[string]any{key: value}, 0)
		if err != nil {
			return edit{err: err}
		}
		return d.insertLines(d.documentEnd(), lines)
	}
	first := mapping.Content[0]
	lines, err := formatBlock(map[string]any{key: value}, first.Column-1)
	if err != nil {
		return edit{err: err}
	}
	return d.insertLines(d.lineOf(d.offset(first)), lines)
}

// addFlowKey adds a key behind the last one, as JSON files have it.
func (d *Document) addFlowKey(mapping *yaml.Node, key string, value any) edit {
	last := mapping.Content[len(mapping.Content)-1]
	end, err := d.nodeEnd(last)
	if err != nil {
		return edit{err: err}
	}
	return d.splice(end, end, ", "+formatFlow(key)+": "+formatFlow(value))
}

// documentEnd is the line before which lines can be added to the mapping of the document.
func (d *Document) documentEnd() int {
	for line := len(d.lines) - 1; line >= 0; line-- {
		if strings.HasPrefix(d.lineText(line), "...") {
			return line
		}
	}
	return len(d.lines)
}

// fillValue writes a value in the place of an empty one.
func (d *Document) fillValue(mapping, key, old *yaml.Node, value any) edit {
	start, end, err := d.valueSpan(key, old)
	if err != nil {
		return edit{err: err}
	}
	if isFlow(mapping) {
		return d.splice(start, end, " "+formatFlow(value))
	}
	lines, err := formatBlock(value, key.Column-1)
	if err != nil {
		return edit{err: err}
	}
	if _, isMap := value.(map[string]any); isMap {
		lines = indentLines(lines, 2)
	}
	emptied, err := Parse([]byte(d.splice(start, end, "").text))
	if err != nil {
		return edit{err: err}
	}
	return emptied.insertLines(d.lineOf(d.offset(key))+1, lines)
}

// swapValue replaces the text of an empty value.
func (d *Document) swapValue(key, old *yaml.Node, by string) edit {
	start, end, err := d.valueSpan(key, old)
	if err != nil {
		return edit{err: err}
	}
	return d.splice(start, end, by)
}

// swapScalar replaces a text.
func (d *Document) swapScalar(key, old *yaml.Node, text string, style yaml.Style) edit {
	start, end, err := d.valueSpan(key, old)
	if err != nil {
		return edit{err: err}
	}
	switch style {
	case yaml.DoubleQuotedStyle:
		text = formatFlow(text)
	case yaml.SingleQuotedStyle:
		text = "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	space := d.text[start:end]
	space = space[:len(space)-len(strings.TrimLeft(space, " \t\r\n"))]
	if space == "" && (style != yaml.DoubleQuotedStyle || start == end) {
		space = " "
	}
	return d.splice(start, end, space+text)
}

// cutKey removes a key and its value. A mapping without keys, which is the value of the key above, stays as {}.
func (d *Document) cutKey(above, mapping, key, value *yaml.Node) edit {
	_, end, err := d.valueSpan(key, value)
	if err != nil {
		return edit{err: err}
	}
	if !isFlow(mapping) {
		line := d.lineOf(d.offset(key))
		if d.lineOf(max(end-1, 0)) != line {
			return edit{err: formErrorf("its %s has more than one line", key.Value)}
		}
		cut := d.cutLines(line, line+1)
		if above == nil || len(mapping.Content) > 2 {
			return cut
		}
		return d.writeEmpty(cut, above, "{}")
	}
	return d.cutFlowElement(d.offset(key), end)
}

// writeEmpty writes an empty value behind a key from which everything was cut.
func (d *Document) writeEmpty(cut edit, key *yaml.Node, empty string) edit {
	colon, err := d.colonEnd(key)
	if err != nil {
		return edit{err: err}
	}
	return edit{text: cut.text[:colon] + " " + empty + cut.text[colon:]}
}

// prependItem adds an item at the beginning of a list that has some.
func (d *Document) prependItem(key, list *yaml.Node, item any) edit {
	if isFlow(list) {
		start := d.offset(list) + 1
		return d.splice(start, start, formatFlow(item)+", ")
	}
	lines, err := formatBlock([]any{item}, list.Column-1)
	if err != nil {
		return edit{err: err}
	}
	return d.insertLines(d.lineOf(d.offset(key))+1, lines)
}

// cutItem removes an item of a list.
func (d *Document) cutItem(key, list *yaml.Node, index int) edit {
	item := list.Content[index]
	if isFlow(list) {
		end, err := d.nodeEnd(item)
		if err != nil {
			return edit{err: err}
		}
		return d.cutFlowElement(d.offset(item), end)
	}
	from, to := d.itemLines(list, index)
	cut := d.cutLines(from, to)
	if len(list.Content) > 1 {
		return cut
	}
	return d.writeEmpty(cut, key, "[]")
}

// swapItem replaces an item of a list.
func (d *Document) swapItem(list *yaml.Node, index int, item any) edit {
	if isFlow(list) {
		end, err := d.nodeEnd(list.Content[index])
		if err != nil {
			return edit{err: err}
		}
		return d.splice(d.offset(list.Content[index]), end, formatFlow(item))
	}
	lines, err := formatBlock([]any{item}, list.Column-1)
	if err != nil {
		return edit{err: err}
	}
	from, to := d.itemLines(list, index)
	start, end := d.lines[from], d.lines[to-1]+len(d.lineText(to-1))
	return d.splice(start, end, strings.Join(lines, d.newline()))
}

// cutFlowElement removes an element of a list or mapping in brackets, with the comma before it, or else the one behind
// it.
func (d *Document) cutFlowElement(start, end int) edit {
	before := strings.TrimRight(d.text[:start], " \t\r\n")
	if strings.HasSuffix(before, ",") {
		return d.splice(len(before)-1, end, "")
	}
	rest := d.text[end:]
	after := strings.TrimLeft(rest, " \t\r\n")
	if strings.HasPrefix(after, ",") {
		end += len(rest) - len(after) + 1
		if strings.HasPrefix(d.text[end:], " ") {
			end++
		}
	}
	return d.splice(start, end, "")
}

// itemLines returns the lines of an item of a list without brackets. Comments and blank lines behind it are not its
// own.
func (d *Document) itemLines(list *yaml.Node, index int) (from, to int) {
	indent := list.Column - 1
	from = d.lineOf(d.offset(list.Content[index]))
	for from > 0 && !d.hasDash(from, indent) {
		from--
	}
	to = from + 1
	for line := from + 1; line < len(d.lines); line++ {
		text := d.lineText(line)
		content := strings.TrimLeft(text, " \t")
		switch {
		case content == "" || strings.HasPrefix(content, "#"):
		case len(text)-len(content) <= indent:
			return from, to
		default:
			to = line + 1
		}
	}
	return from, to
}

func (d *Document) hasDash(line, indent int) bool {
	text := d.lineText(line)
	return len(text) > indent && text[indent] == '-' && strings.TrimSpace(text[:indent]) == ""
}

// formatBlock renders a value as lines with an indentation.
func formatBlock(value any, indent int) ([]string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding an entry: %w", err)
	}
	return indentLines(strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"), indent), nil
}

func indentLines(lines []string, indent int) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.Repeat(" ", indent) + l
	}
	return out
}

// formatFlow renders a value as JSON on one line.
func formatFlow(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "" // texts, lists and mappings of them can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
