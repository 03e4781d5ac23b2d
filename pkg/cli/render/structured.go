package render

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// EventList is the JSON form of several events.
type EventList struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Items      []api.Event `json:"items"`
}

// NewEventList returns an EventList of events.
func NewEventList(events []api.Event) EventList {
	return EventList{api.APIVersion, "EventList", append([]api.Event{}, events...)}
}

// OrphanList is the JSON form of several orphans.
type OrphanList struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Items      []api.Orphan `json:"items"`
	// Unasked are the clouds that did not answer, and why.
	Unasked []string `json:"unasked,omitempty"`
	// Doubt is why none is terminated; nil if the home is not in doubt.
	Doubt *api.HomeDoubt `json:"doubt,omitempty"`
}

// NewOrphanList returns an OrphanList of a worker's result.
func NewOrphanList(r operation.OrphansResult) OrphanList {
	return OrphanList{api.APIVersion, "OrphanList", append([]api.Orphan{}, r.Orphans...), r.Unasked, r.Doubt}
}

// Format is an output format.
type Format string

const (
	AsTable Format = "table"
	AsWide  Format = "wide"
	AsJSON  Format = "json"
	AsYAML  Format = "yaml"
	AsName  Format = "name"
	// These take a template or columns.
	AsJSONPath      Format = "jsonpath"
	AsGoTemplate    Format = "go-template"
	AsCustomColumns Format = "custom-columns"
)

// IsStructured is true for formats that programs read.
func (f Format) IsStructured() bool { return f != AsTable && f != AsWide }

// ClusterList is the JSON form of several clusters.
type ClusterList struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Items      []api.Cluster `json:"items"`
}

// NewClusterList returns a ClusterList of clusters.
func NewClusterList(clusters []api.Cluster) ClusterList {
	if clusters == nil {
		clusters = []api.Cluster{}
	}
	return ClusterList{APIVersion: api.APIVersion, Kind: "ClusterList", Items: clusters}
}

// WriteStructured writes an object as JSON or YAML, with the same field names.
func WriteStructured(w io.Writer, form Format, object any) error {
	b, err := json.MarshalIndent(object, "", "  ")
	switch {
	case err == nil && form == AsYAML:
		b, err = yaml.JSONToYAML([]byte(printable.Stream(string(b)))) // YAML does not allow some control characters
	case err == nil:
		b = append(b, '\n')
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", form, err)
	}
	_, err = w.Write(b)
	return err
}

// WriteStructuredItem writes the next object of a stream; in YAML as a document of its own.
func WriteStructuredItem(w io.Writer, form Format, object any) error {
	if form == AsYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return WriteStructured(w, form, object)
}
