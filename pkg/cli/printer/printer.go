// Package printer writes objects in the formats that -o has in kubectl: JSON, YAML, names, JSONPath, Go templates and
// custom columns.
package printer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/sky-shift/skyctl/pkg/cli/render"
)

// Printer writes objects in one format. A command that prints a table or a page uses only Form and HasHeaders.
type Printer struct {
	form      render.Format
	noHeaders bool
	// template is set for JSONPath and Go templates.
	template printers.ResourcePrinter
	columns  []column
	// headed: the headings of the columns were written.
	headed bool
}

// Form is the format, without its template or columns.
func (p *Printer) Form() render.Format { return p.form }

// HasHeaders is false with --no-headers.
func (p *Printer) HasHeaders() bool { return !p.noHeaders }

// Write writes an object: a single one, or a list with items.
func (p *Printer) Write(w io.Writer, object any) error { return p.WriteKind(w, "", object) }

// WriteKind is Write for an object that does not say its kind. JSON and YAML stay without it.
func (p *Printer) WriteKind(w io.Writer, kind string, object any) error {
	switch p.form {
	case render.AsJSON, render.AsYAML:
		return render.WriteStructured(w, p.form, object)
	}
	content, err := toContent(object)
	if err != nil {
		return err
	}
	if _, known := content["kind"]; !known && kind != "" {
		content["kind"] = kind
	}
	switch p.form {
	case render.AsName:
		return writeNames(w, content)
	case render.AsCustomColumns:
		return p.writeColumns(w, content)
	}
	if err := p.template.PrintObj(&unstructured.Unstructured{Object: content}, w); err != nil {
		// The error of cli-runtime goes on with the whole object, which is no help and may be long.
		first, _, _ := strings.Cut(err.Error(), ". Printing more information")
		return errors.New(first)
	}
	return nil
}

// WriteItem writes the next object of a stream, such as a watch: in YAML as a document of its own.
func (p *Printer) WriteItem(w io.Writer, object any) error {
	if p.form == render.AsYAML {
		return render.WriteStructuredItem(w, p.form, object)
	}
	return p.Write(w, object)
}

// toContent returns an object as its JSON says. Whole numbers stay whole.
func toContent(object any) (map[string]any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing the object: %w", err)
	}
	content := map[string]any{}
	if err := k8sjson.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("writing the object: %w", err)
	}
	return content, nil
}

// listItems returns the items of a list, each with the kind of the list's items; or the object alone, if it is no list.
func listItems(content map[string]any) []map[string]any {
	items, isList := content["items"].([]any)
	if !isList {
		return []map[string]any{content}
	}
	kind, _ := content["kind"].(string)
	objects := []map[string]any{}
	for _, item := range items {
		object, isObject := item.(map[string]any)
		if !isObject {
			continue
		}
		if _, known := object["kind"]; !known && strings.HasSuffix(kind, "List") {
			object["kind"] = strings.TrimSuffix(kind, "List")
		}
		objects = append(objects, object)
	}
	return objects
}

// writeNames writes each object as KIND/NAME.
func writeNames(w io.Writer, content map[string]any) error {
	for _, object := range listItems(content) {
		kind, name := nameObject(object)
		if kind == "" || name == "" {
			return errors.New("-o name: these objects have no names")
		}
		if err := WriteName(w, kind, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// nameObject returns the kind and the name of an object. Clusters have theirs in the metadata, as in Kubernetes.
func nameObject(object map[string]any) (kind, name string) {
	kind, _ = object["kind"].(string)
	if metadata, ok := object["metadata"].(map[string]any); ok {
		name, _ = metadata["name"].(string)
		return kind, name
	}
	name, _ = object["name"].(string)
	return kind, name
}

// WriteName writes KIND/NAME in small letters, and what was done with the object, if that is not empty.
func WriteName(w io.Writer, kind, name, done string) error {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("v1") // of no group: its name stands without a domain
	object.SetKind(kind)
	object.SetName(name)
	return (&printers.NamePrinter{Operation: done, ShortOutput: done == ""}).PrintObj(object, w)
}
