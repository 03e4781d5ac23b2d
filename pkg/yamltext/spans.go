package yamltext

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// colonEnd is the offset behind the colon of a key.
func (d *Document) colonEnd(key *yaml.Node) (int, error) {
	at, err := d.nodeEnd(key)
	if err != nil {
		return 0, err
	}
	rest := strings.TrimLeft(d.text[at:], " \t")
	if !strings.HasPrefix(rest, ":") {
		return 0, formErrorf("its key %s has no colon behind it", key.Value)
	}
	return len(d.text) - len(rest) + 1, nil
}

// valueSpan returns the part from the colon of a key to the end of its value, which is a text, or empty.
func (d *Document) valueSpan(key, value *yaml.Node) (start, end int, err error) {
	start, err = d.colonEnd(key)
	if err != nil {
		return 0, 0, err
	}
	if value.Kind == yaml.ScalarNode && value.Value == "" && value.Style == 0 {
		return start, start, nil
	}
	end, err = d.nodeEnd(value)
	return start, end, err
}

// nodeEnd is the offset behind a node in brackets or a text on one line.
func (d *Document) nodeEnd(n *yaml.Node) (int, error) {
	start := d.offset(n)
	rest := d.text[start:]
	switch {
	case n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
	case n.Kind == yaml.ScalarNode && n.Style == yaml.DoubleQuotedStyle,
		n.Kind == yaml.ScalarNode && n.Style == yaml.SingleQuotedStyle:
		if size := quotedSize(rest); size > 0 {
			return start + size, nil
		}
	case n.Kind == yaml.ScalarNode && n.Style == 0:
		if strings.HasPrefix(rest, n.Value) {
			return start + len(n.Value), nil
		}
	case n.Kind == yaml.MappingNode && isFlow(n), n.Kind == yaml.SequenceNode && isFlow(n):
		if size := bracketSize(rest); size > 0 {
			return start + size, nil
		}
	}
	return 0, formErrorf("its line %d has a form that skyctl cannot change", n.Line)
}

// quotedSize is the length of a text in quotes at the beginning; 0 if there is none.
func quotedSize(text string) int {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return 0
	}
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return 0
}

// bracketSize is the length of a list or mapping in brackets at the beginning; 0 if there is none.
func bracketSize(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case (c == '"' || c == '\'') && strings.ContainsRune("[{,: \n\t", rune(text[i-1])):
			size := quotedSize(text[i:])
			if size == 0 {
				return 0
			}
			i += size - 1
		case c == '#' && strings.ContainsRune(" \n\t", rune(text[i-1])):
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		}
		if depth == 0 {
			return 0
		}
	}
	return 0
}
