package printer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// noValue is shown where an object has no value for a column, as in kubectl.
const noValue = "<none>"

// column is one column of custom-columns: its heading, and where its values are.
type column struct {
	heading string
	path    *jsonpath.JSONPath
}

// parseColumns reads HEADING:PATH,HEADING:PATH, or the two lines that a file has: one of headings, one of paths.
func parseColumns(text string) ([]column, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 2 {
		headings, paths := strings.Fields(lines[0]), strings.Fields(lines[1])
		if len(headings) != len(paths) {
			return nil, fmt.Errorf("it has %d headings and %d paths", len(headings), len(paths))
		}
		var parts []string
		for i := range headings {
			parts = append(parts, headings[i]+":"+paths[i])
		}
		text = strings.Join(parts, ",")
	}
	var columns []column
	for part := range strings.SplitSeq(text, ",") {
		heading, path, found := strings.Cut(strings.TrimSpace(part), ":")
		if !found || heading == "" || path == "" {
			return nil, fmt.Errorf("%q is not HEADING:PATH", part)
		}
		parsed, err := newPath(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
		columns = append(columns, column{heading: heading, path: parsed})
	}
	return columns, nil
}

// newPath reads a path, which may lack its braces and its first dot.
func newPath(text string) (*jsonpath.JSONPath, error) {
	path := jsonpath.New("path").AllowMissingKeys(true)
	return path, path.Parse(addBraces(text))
}

// writeColumns writes a row for each object, below the headings if these are wanted.
func (p *Printer) writeColumns(w io.Writer, content map[string]any) error {
	var buffer bytes.Buffer
	table := printers.GetNewTabWriter(&buffer)
	if !p.noHeaders && !p.headed {
		var headings []string
		for _, c := range p.columns {
			headings = append(headings, c.heading)
		}
		fmt.Fprintln(table, strings.Join(headings, "\t"))
	}
	p.headed = true
	for _, object := range listItems(content) {
		var cells []string
		for _, c := range p.columns {
			cell, err := c.read(object)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.heading, err)
			}
			cells = append(cells, cell)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(&buffer); lines.Scan(); {
		if _, err := fmt.Fprintln(w, strings.TrimRight(lines.Text(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// read returns what an object has in a column; several values are joined with commas.
func (c column) read(object map[string]any) (string, error) {
	found, err := c.path.FindResults(object)
	if err != nil {
		return "", err
	}
	var values []string
	for _, results := range found {
		for _, v := range results {
			if value := v.Interface(); value != nil {
				values = append(values, printable.Line(fmt.Sprint(value)))
			}
		}
	}
	if len(values) == 0 {
		return noValue, nil
	}
	return strings.Join(values, ","), nil
}
