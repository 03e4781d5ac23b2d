package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// largestFile is the number of bytes of a file at most.
const largestFile = 1 << 20

// listKinds are the kinds of objects whose items are clusters: what get clusters prints, and Kubernetes' own.
var listKinds = []string{"ClusterList", "List"}

// Parse reads the clusters of a file: YAML with any number of documents, or JSON. source is the name of the file in
// errors. Its error is a *PlaceErrors with all errors of the file.
func Parse(source string, data []byte) ([]Document, error) {
	if err := checkText(source, data); err != nil {
		return nil, newPlaceErrors([]*PlaceError{err})
	}
	r := &fileReader{source: source}
	var documents []Document
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.errs = append(r.errs, newSyntaxError(source, data, err))
			break
		}
		if n := r.resolveAlias(root.Content[0]); n != nil && n.ShortTag() != "!!null" {
			documents = append(documents, r.readClusters(n)...)
		}
	}
	r.checkNames(documents)
	if err := newPlaceErrors(r.errs); err != nil {
		return nil, err
	}
	return documents, nil
}

// checkText refuses what is no text, before the YAML parser does so in other words.
func checkText(source string, data []byte) *PlaceError {
	newError := func(offset int, found, want string) *PlaceError {
		before := data[:offset]
		return &PlaceError{Source: source, Line: bytes.Count(before, []byte("\n")) + 1,
			Column: offset - bytes.LastIndexByte(before, '\n'), Found: found, Want: want}
	}
	if len(data) > largestFile {
		return newError(0, fmt.Sprintf("a file of %d bytes", len(data)), fmt.Sprintf("at most %d", largestFile))
	}
	for offset := 0; offset < len(data); {
		char, size := utf8.DecodeRune(data[offset:])
		isControl := char < ' ' && char != '\n' && char != '\r' && char != '\t' || char == 0x7f
		if char == utf8.RuneError && size == 1 || isControl {
			return newError(offset, "a file that is no text", "YAML or JSON in UTF-8")
		}
		offset += size
	}
	return nil
}

// readClusters reads a document: a cluster, or a list of them.
func (r *fileReader) readClusters(n *yaml.Node) []Document {
	for _, kind := range listKinds {
		if n.Kind != yaml.MappingNode || r.findKey(n, "kind") != kind {
			continue
		}
		for _, e := range r.listEntries(n, "", 0) {
			if e.key.Value == "items" && e.value.Kind == yaml.SequenceNode {
				return r.readItems(e.value)
			}
		}
		r.addError(n, "items", "missing", "a list of clusters")
		return nil
	}
	return r.readCluster(n)
}

func (r *fileReader) readItems(list *yaml.Node) []Document {
	var documents []Document
	for _, item := range list.Content {
		if n := r.resolveAlias(item); n != nil {
			documents = append(documents, r.readCluster(n)...)
		}
	}
	return documents
}

// readCluster reads one cluster; none if the object is of another kind.
func (r *fileReader) readCluster(n *yaml.Node) []Document {
	r.places = places{}
	if n.Kind == yaml.MappingNode && !r.isCluster(n) {
		return nil
	}
	tree := r.readObject(n, "", "")
	name, _ := tree.child("metadata")["name"].(string)
	r.places[""] = place{line: n.Line, column: n.Column}
	return []Document{{Source: r.source, Line: max(1, n.Line), Name: name, tree: tree, places: r.places}}
}

// isCluster reports whether an object is a cluster of the present format, so that its fields can be judged.
func (r *fileReader) isCluster(n *yaml.Node) bool {
	is := true
	for _, e := range r.listEntries(n, "", 0) {
		name := e.key.Value
		if other, ok := otherNames[name]; ok {
			name = other
		}
		f, known := declared().find("", name)
		if !known || f.Type != api.TypeText || e.value.Kind != yaml.ScalarNode || e.value.Value == f.Values[0] {
			continue
		}
		r.addError(e.value, name, quoteValue(name, e.value.Value), f.Want)
		is = false
	}
	return is
}

// checkNames adds an error for each cluster that the file has before.
func (r *fileReader) checkNames(documents []Document) {
	lines := map[string]int{}
	for _, d := range documents {
		p := d.places["metadata.name"]
		if before := lines[d.Name]; before > 0 && d.Name != "" {
			r.errs = append(r.errs, &PlaceError{Source: r.source, Line: p.line, Column: p.column, Path: "metadata.name",
				Found: quoteValue("", d.Name), Want: fmt.Sprintf("each cluster once in a file; line %d has it too",
					before)})
			continue
		}
		lines[d.Name] = p.line
	}
}
