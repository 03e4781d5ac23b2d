package printer

import (
	"fmt"

	"k8s.io/client-go/util/jsonpath"
)

// Path leads to a field of an object: a JSONPath expression as kubectl takes it.
type Path struct{ path *jsonpath.JSONPath }

// NewPath reads a path, which may lack its braces and its first dot.
func NewPath(text string) (*Path, error) {
	path, err := newPath(text)
	return &Path{path}, err
}

// Read returns the values at the path, as text. There is none where the object lacks the field, or has it empty.
func (p *Path) Read(object any) ([]string, error) {
	content, err := toContent(object)
	if err != nil {
		return nil, err
	}
	results, err := p.path.FindResults(content)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, list := range results {
		for _, value := range list {
			if value.IsValid() && value.CanInterface() && value.Interface() != nil {
				values = append(values, fmt.Sprint(value.Interface()))
			}
		}
	}
	return values, nil
}
