package manifest

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

var yamlError = lazyregexp.New(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// mostSearched bounds the search for the line of a syntax error, which can read the file once for each line: lines
// times bytes. It takes about a second.
const mostSearched = 20_000_000

// newSyntaxError turns an error of the YAML parser into one with a place. The parser names the line where the object
// begins that it could not read; a person needs the line that cannot be read.
func newSyntaxError(source string, data []byte, err error) *PlaceError {
	e := &PlaceError{Source: source, Line: 1, Column: 1, Found: err.Error(), Want: "valid YAML"}
	if match := yamlError.FindStringSubmatch(err.Error()); match != nil {
		e.Found = match[2]
		if line, err := strconv.Atoi(match[1]); err == nil {
			e.Line = line
		}
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines)*len(data) <= mostSearched {
		e.Line = findSyntaxError(lines)
	}
	if e.Line <= len(lines) {
		text := string(lines[e.Line-1])
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		e.Column = len(indent) + 1
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			e.Column, e.Found, e.Want = tab+1, "a tab in the indentation", "spaces"
		}
	}
	e.Found = "YAML cannot be read: " + e.Found
	return e
}

// findSyntaxError returns the line after the longest beginning of a file that is valid.
func findSyntaxError(lines [][]byte) int {
	valid := 0
	for size := len(lines) - 1; size > 0 && valid == 0; size-- {
		if isValidYAML(bytes.Join(lines[:size], nil)) {
			valid = size
		}
	}
	return valid + 1
}

func isValidYAML(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}
