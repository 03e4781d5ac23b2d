package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// place is where a value is in a file, with the value as text if it is one.
type place struct {
	line, column int
	text         string
}

// places are the places of the values of a document, by their paths.
type places map[string]place

const (
	// mostNodes bounds the values of a file after its aliases are resolved.
	mostNodes = 100_000
	// deepestMerge bounds merge keys that lead to other merge keys.
	deepestMerge = 10
	// mostSuggested bounds the errors for which the nearest name is looked up. Only the first ones are listed.
	mostSuggested = 50 * mostErrors
)

// fileReader turns the nodes of a document into a tree, as the fields are declared.
type fileReader struct {
	source string
	// lenient: it leaves out what it does not know, and keeps values as they are. It is for objects that were stored.
	lenient bool
	places  places
	errs    []*PlaceError
	nodes   int
}

func (r *fileReader) addError(n *yaml.Node, path, found, want string) {
	r.errs = append(r.errs, &PlaceError{Source: r.source, Line: max(1, n.Line), Column: max(1, n.Column), Path: path,
		Found: found, Want: want})
}

func (r *fileReader) setPlace(n *yaml.Node, path, text string) {
	if r.places != nil {
		r.places[path] = place{line: n.Line, column: n.Column, text: text}
	}
}

// resolveAlias returns the node that a node stands for; nil if the file has too many.
func (r *fileReader) resolveAlias(n *yaml.Node) *yaml.Node {
	if r.nodes++; r.nodes > mostNodes {
		if r.nodes == mostNodes+1 {
			r.addError(n, "", "too many values", fmt.Sprintf("at most %d in a file, with those that aliases repeat",
				mostNodes))
		}
		return nil
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// entry is one field of an object of a file.
type entry struct{ key, value *yaml.Node }

// listEntries returns the fields of an object. Merge keys (<<) add the fields that the object does not have.
func (r *fileReader) listEntries(n *yaml.Node, path string, depth int) []entry {
	var own []entry
	var merged []*yaml.Node
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := r.resolveAlias(n.Content[i]), r.resolveAlias(n.Content[i+1])
		switch {
		case key == nil || value == nil:
			return nil
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode:
			r.addError(key, path, "a key that is no text", "the name of a field")
		case seen[key.Value] > 0:
			r.addError(key, joinPath(path, key.Value), "given twice",
				fmt.Sprintf("it once; line %d has it too", seen[key.Value]))
		default:
			seen[key.Value] = max(1, key.Line)
			own = append(own, entry{key, value})
		}
	}
	for _, m := range merged {
		own = r.addMerged(own, seen, m, path, depth)
	}
	return own
}

// addMerged adds the fields of a merge key. seen has the lines of the fields by name.
func (r *fileReader) addMerged(own []entry, seen map[string]int, m *yaml.Node, path string, depth int) []entry {
	sources := []*yaml.Node{m}
	if m.Kind == yaml.SequenceNode {
		sources = m.Content
	}
	for _, source := range sources {
		n := r.resolveAlias(source)
		switch {
		case n == nil:
			return own
		case n.Kind != yaml.MappingNode || depth >= deepestMerge:
			r.addError(source, path, "a merge key (<<) that leads to no object", "the alias of an object")
			return own
		}
		for _, e := range r.listEntries(n, path, depth+1) {
			if seen[e.key.Value] == 0 {
				seen[e.key.Value] = max(1, e.key.Line)
				own = append(own, e)
			}
		}
	}
	return own
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// readObject reads the object with a declared path. at is its path in the file, with the keys of items.
func (r *fileReader) readObject(n *yaml.Node, declaredPath, at string) object {
	if n.Kind != yaml.MappingNode {
		r.addError(n, at, describeNode(n), "an object with fields: "+
			strings.Join(namesOf(declared().inside[declaredPath]), ", "))
		return object{}
	}
	read, given := object{}, map[string]bool{}
	for _, e := range r.listEntries(n, at, 0) {
		name := e.key.Value
		if other, ok := otherNames[name]; ok && declaredPath == "" {
			name = other
		}
		f, known := declared().find(declaredPath, name)
		switch {
		case known:
			given[name] = true
			if v, ok := r.readField(e, f, joinPath(at, name)); ok {
				read[name] = v
			}
		case !slices.Contains(ignored[declaredPath], name):
			want := ""
			if len(r.errs) < mostSuggested {
				want = declared().suggestFor(declaredPath, name)
			}
			r.addError(e.key, joinPath(at, name), "unknown field", want)
		}
	}
	for _, f := range declared().inside[declaredPath] {
		if f.Required && !given[f.Name()] {
			r.addError(n, joinPath(at, f.Name()), "missing", declared().wantOf(f))
		}
	}
	return read
}

// readField reads a field; ok is false if it gives nothing.
func (r *fileReader) readField(e entry, f api.FileField, at string) (value any, ok bool) {
	n := e.value
	isContainer := f.Type == api.TypeObject || f.Type == api.TypeObjectList || f.Type == api.TypeMap ||
		f.Type == api.TypeValueMap || f.Type == api.TypeList
	if isContainer {
		r.setPlace(e.key, at, "")
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
			if f.Required {
				r.addError(e.key, at, "empty", declared().wantOf(f))
			}
			return nil, false
		}
	}
	switch f.Type {
	case api.TypeObject:
		read := r.readObject(n, f.Path, at)
		return read, len(read) > 0
	case api.TypeObjectList:
		read := r.readObjects(n, f, at)
		return read, len(read) > 0
	case api.TypeMap:
		read := r.readMap(n, f, at)
		return read, len(read) > 0
	case api.TypeValueMap:
		read := r.readValueMap(n, f, at)
		return read, len(read) > 0
	case api.TypeList:
		read := r.readList(n, f, at)
		return read, len(read) > 0
	default:
		return r.readScalar(n, f, at)
	}
}

// readObjects reads a list of objects. No two may have the same key.
func (r *fileReader) readObjects(n *yaml.Node, f api.FileField, at string) []object {
	if n.Kind != yaml.SequenceNode {
		r.addError(n, at, describeNode(n), "a list of objects, each with its "+f.Key)
		return nil
	}
	var all []object
	lines := map[string]int{}
	for i, item := range n.Content {
		item = r.resolveAlias(item)
		if item == nil {
			return all
		}
		key := r.findKey(item, f.Key)
		if key == "" {
			key = fmt.Sprint(i)
		}
		itemAt := fmt.Sprintf("%s[%s]", at, key)
		if lines[key] > 0 {
			r.addError(item, joinPath(itemAt, f.Key), "given twice",
				fmt.Sprintf("each %s once; the one in line %d has it too", f.Key, lines[key]))
			continue
		}
		lines[key] = max(1, item.Line)
		r.setPlace(item, itemAt, "")
		if read := r.readObject(item, f.Path, itemAt); len(read) > 0 {
			all = append(all, read)
		}
	}
	return all
}

// findKey returns the value of the field that distinguishes an item; empty if it has none.
func (r *fileReader) findKey(item *yaml.Node, name string) string {
	if item.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == name && item.Content[i+1].Kind == yaml.ScalarNode {
			return item.Content[i+1].Value
		}
	}
	return ""
}
