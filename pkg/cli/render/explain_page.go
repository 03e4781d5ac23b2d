package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/spelling"
)

// rootField is how the path of every field begins, as in cluster.spec.pools.
const rootField = "cluster"

// itemInBrackets matches the name of an item in a path, as in spec.pools[gpu].replicas.
var itemInBrackets = lazyregexp.New(`\[[^\]]*\]`)

// fieldTypes are the names of types, as in kubectl explain.
var fieldTypes = map[api.FieldType]string{
	api.TypeText: "string", api.TypeCount: "integer", api.TypeNumber: "number", api.TypeSwitch: "boolean",
	api.TypeList: "[]string", api.TypeMap: "map[string]string", api.TypeObject: "Object",
	api.TypeObjectList: "[]Object", api.TypeValueMap: "map[string]string or []string",
}

// ExplainPage explains the fields of a cluster file.
type ExplainPage struct {
	fields []api.FileField
	byPath map[string]api.FileField
}

// NewExplainPage returns the page of declared fields.
func NewExplainPage(fields []api.FileField) *ExplainPage {
	p := &ExplainPage{fields: fields, byPath: map[string]api.FileField{
		"": {Type: api.TypeObject, Help: "a Kubernetes cluster, in the form that skyctl apply takes"}}}
	for _, f := range fields {
		p.byPath[f.Path] = f
	}
	return p
}

// Explain describes a field: what it is, its values, how it changes, and its fields. recursive lists the whole tree
// below it instead of its direct fields. The path begins with cluster, or with a field of it; items in brackets are
// left out. The error is an *api.FieldError that suggests a path.
func (p *ExplainPage) Explain(path string, recursive bool) (string, error) {
	f, err := p.find(path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FIELD: %s <%s>\n\n", fullPath(f.Path), fieldTypes[f.Type])
	for _, line := range wrapSentence(f.Help) {
		fmt.Fprintln(&b, line)
	}
	p.writeFacts(&b, f)
	if text := p.formatExample(f); text != "" {
		b.WriteString("\nEXAMPLE:\n" + IndentLines(text))
	}
	switch inner := p.fieldsOf(f.Path); {
	case len(inner) == 0:
	case recursive:
		b.WriteString("\nFIELDS:\n")
		p.writeTree(&b, f.Path, "  ")
	default:
		b.WriteString("\nFIELDS:\n")
		p.writeFields(&b, inner)
	}
	return b.String(), nil
}

// CompletePaths returns the paths that can follow a part of one, each with a description after a tab.
func (p *ExplainPage) CompletePaths(typed string) []string {
	if !strings.Contains(typed, ".") {
		return []string{rootField + "\t" + p.byPath[""].Help}
	}
	parent := strings.TrimPrefix(strings.TrimPrefix(typed[:strings.LastIndexByte(typed, '.')], rootField), ".")
	var paths []string
	for _, f := range p.fieldsOf(parent) {
		paths = append(paths, fullPath(f.Path)+"\t"+f.Help)
	}
	return paths
}

// HasFields reports whether a full path leads to an object.
func (p *ExplainPage) HasFields(path string) bool {
	return len(p.fieldsOf(strings.TrimPrefix(strings.TrimPrefix(path, rootField), "."))) > 0
}

func (p *ExplainPage) fieldsOf(parent string) []api.FileField {
	var inner []api.FileField
	for _, f := range p.fields {
		if f.Parent() == parent {
			inner = append(inner, f)
		}
	}
	return inner
}

func fullPath(path string) string {
	if path == "" {
		return rootField
	}
	return rootField + "." + path
}

// find returns the field that a person means.
func (p *ExplainPage) find(typed string) (api.FileField, error) {
	parts := strings.Split(itemInBrackets.ReplaceAllString(typed, ""), ".")
	if strings.EqualFold(parts[0], rootField) || strings.EqualFold(parts[0], rootField+"s") {
		parts = parts[1:]
	}
	path := ""
	for _, part := range parts {
		next := strings.TrimPrefix(path+"."+part, ".")
		if _, known := p.byPath[next]; !known || part == "" {
			return api.FileField{}, &api.FieldError{Field: "field", Value: typed, Want: p.suggestFor(path, part)}
		}
		path = next
	}
	return p.byPath[path], nil
}

// suggestFor says what would be right instead of a field that an object does not have.
func (p *ExplainPage) suggestFor(parent, name string) string {
	inner := p.fieldsOf(parent)
	if len(inner) == 0 {
		return fmt.Sprintf("%s has the type %s, and no fields", fullPath(parent), fieldTypes[p.byPath[parent].Type])
	}
	var names []string
	for _, f := range inner {
		names = append(names, f.Name())
	}
	missing := fmt.Sprintf("%s has no field %q", fullPath(parent), name)
	if near := spelling.FindNearest(name, names); near != "" && name != "" {
		return fmt.Sprintf("%s; did you mean %s.%s?", missing, fullPath(parent), near)
	}
	if parent == "" && spelling.FindNearest(name, []string{rootField}) != "" && name != "" {
		return "did you mean " + rootField + "?"
	}
	if owners := p.findByName(name); len(owners) > 0 {
		return fmt.Sprintf("%s; did you mean %s?", missing, strings.Join(owners, " or "))
	}
	return fmt.Sprintf("%s; its fields are %s", missing, strings.Join(names, ", "))
}

// findByName returns the full paths of the fields with a name, wherever they are.
func (p *ExplainPage) findByName(name string) []string {
	var paths []string
	for _, f := range p.fields {
		if f.Name() == name {
			paths = append(paths, fullPath(f.Path))
		}
	}
	return paths
}

// writeFacts writes what is known of the field, one line for each.
func (p *ExplainPage) writeFacts(b *strings.Builder, f api.FileField) {
	how := string(f.Change.Way)
	if f.Change.Why != "" {
		how += ": " + f.Change.Why
	}
	fallback := f.Default
	if f.Required {
		fallback = "none: the field is required"
	}
	facts := [][2]string{{"VALUE", f.Want}, {"KNOWN", strings.Join(f.Values, ", ")}, {"DEFAULT", fallback},
		{"CHANGES", how}, {"INSTEAD", f.Change.Instead}}
	if f.Key != "" {
		facts = slices.Insert(facts, 0, [2]string{"ITEMS", "each with another " + f.Key})
	}
	first := true
	for _, fact := range facts {
		for i, line := range wrapSentence(fact[1]) {
			label := ""
			if i == 0 {
				label = fact[0] + ":"
			}
			if first {
				b.WriteString("\n")
				first = false
			}
			fmt.Fprintf(b, "%-10s%s\n", label, line)
		}
	}
}

// formatExample shows the field where it stands in a file; empty if there is no example.
func (p *ExplainPage) formatExample(f api.FileField) string {
	value := exampleValue(f)
	if value == "" {
		return ""
	}
	var b strings.Builder
	indent, path := "", ""
	parts := strings.Split(f.Path, ".")
	for _, part := range parts[:len(parts)-1] {
		path = strings.TrimPrefix(path+"."+part, ".")
		fmt.Fprintf(&b, "%s%s:\n", indent, part)
		if list := p.byPath[path]; list.Type == api.TypeObjectList {
			key := p.byPath[path+"."+list.Key]
			fmt.Fprintf(&b, "%s- %s: %s\n", indent, list.Key, key.Example)
			if f.Path == key.Path {
				return b.String()
			}
		}
		indent += "  "
	}
	if strings.Contains(value, "\n") { // a text of several lines is a block
		value = "|\n" + strings.TrimSuffix(indentEach(value, indent+"  "), "\n")
	}
	fmt.Fprintf(&b, "%s%s: %s\n", indent, f.Name(), value)
	return b.String()
}

// indentEach indents each line of a text.
func indentEach(text, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(indent + line)
	}
	return b.String()
}

// exampleValue is the example as YAML.
func exampleValue(f api.FileField) string {
	key, value, isPair := strings.Cut(f.Example, "=")
	switch {
	case f.Example == "":
		return ""
	case f.Type == api.TypeList:
		return "[" + f.Example + "]"
	case (f.Type == api.TypeMap || f.Type == api.TypeValueMap) && isPair:
		return "{" + key + ": " + value + "}"
	}
	return f.Example
}

func (p *ExplainPage) writeFields(b *strings.Builder, fields []api.FileField) {
	for _, f := range fields {
		fmt.Fprintf(b, "  %s\n", describeType(f))
		for _, line := range wrapSentence(f.Help) {
			fmt.Fprintf(b, "      %s\n", printable.Line(line))
		}
	}
}

func (p *ExplainPage) writeTree(b *strings.Builder, parent, indent string) {
	for _, f := range p.fieldsOf(parent) {
		fmt.Fprintf(b, "%s%s\n", indent, describeType(f))
		p.writeTree(b, f.Path, indent+"  ")
	}
}

func describeType(f api.FileField) string {
	text := fmt.Sprintf("%s <%s>", f.Name(), fieldTypes[f.Type])
	if f.Required {
		text += " (required)"
	}
	return text
}
