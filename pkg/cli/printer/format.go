package printer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/sky-shift/skyctl/pkg/cli/render"
)

// Plain are the formats without an argument; the first is the default.
var Plain = []render.Format{render.AsTable, render.AsWide, render.AsJSON, render.AsYAML, render.AsName}

// Templated are the formats that take an argument after an equals sign. Each of them also reads it from a file, with
// -file behind the name.
var Templated = []render.Format{render.AsJSONPath, render.AsGoTemplate, render.AsCustomColumns}

const fileSuffix = "-file"

// Request is what a person asks for.
type Request struct {
	// Output is the value of -o.
	Output string
	// Template is the template or the columns, if they do not follow in Output.
	Template  string
	NoHeaders bool
}

// New returns the printer for a request; readFile reads the file of a template. Its errors say what is wrong with the
// value of -o.
func New(r Request, readFile func(name string) ([]byte, error)) (*Printer, error) {
	name, argument, hasArgument := strings.Cut(r.Output, "=")
	if !hasArgument {
		argument = r.Template
	}
	form := render.Format(name)
	if slices.Contains(Plain, form) {
		if hasArgument || argument != "" {
			return nil, fmt.Errorf("-o %s takes no template", name)
		}
		return &Printer{form: form, noHeaders: r.NoHeaders}, nil
	}
	form = render.Format(strings.TrimSuffix(name, fileSuffix))
	if !slices.Contains(Templated, form) {
		return nil, fmt.Errorf("must be one of %s", strings.Join(ListFormats(), ", "))
	}
	if argument == "" {
		return nil, fmt.Errorf("must have its template after an equals sign, such as %s", examples[form])
	}
	if strings.HasSuffix(name, fileSuffix) {
		text, err := readFile(argument)
		if err != nil {
			return nil, err
		}
		argument = string(text)
	}
	return newTemplated(form, argument, r.NoHeaders)
}

var examples = map[render.Format]string{
	render.AsJSONPath:      "-o jsonpath='{.status.phase}'",
	render.AsGoTemplate:    "-o go-template='{{.status.phase}}'",
	render.AsCustomColumns: "-o custom-columns=NAME:.metadata.name,STATUS:.status.phase",
}

func newTemplated(form render.Format, argument string, noHeaders bool) (*Printer, error) {
	p := &Printer{form: form, noHeaders: noHeaders}
	var err error
	switch form {
	case render.AsJSONPath:
		var path *printers.JSONPathPrinter
		if path, err = printers.NewJSONPathPrinter(addBraces(argument)); err == nil {
			path.AllowMissingKeys(true)
			p.template = path
		}
	case render.AsGoTemplate:
		var template *printers.GoTemplatePrinter
		if template, err = printers.NewGoTemplatePrinter([]byte(argument)); err == nil {
			template.AllowMissingKeys(true)
			p.template = template
		}
	case render.AsCustomColumns:
		p.columns, err = parseColumns(argument)
	}
	if err != nil {
		return nil, fmt.Errorf("must be a valid template, such as %s (%w)", examples[form], err)
	}
	return p, nil
}

// addBraces completes a path that was written without braces, .status.phase, which would print itself.
func addBraces(path string) string {
	if strings.ContainsAny(path, "{}") {
		return path
	}
	return "{." + strings.TrimPrefix(path, ".") + "}"
}

// ListFormats returns the values of -o; those that take an argument end in an equals sign.
func ListFormats() []string {
	var all []string
	for _, f := range Plain {
		all = append(all, string(f))
	}
	for _, f := range Templated {
		all = append(all, string(f)+"=", string(f)+fileSuffix+"=")
	}
	return all
}

// aboutFormats says what each format prints.
var aboutFormats = map[render.Format]string{
	render.AsTable: "columns for people (the default)", render.AsWide: "more columns, one line for each object",
	render.AsJSON: "whole objects; times are in UTC", render.AsYAML: "whole objects; times are in UTC",
	render.AsName:          "KIND/NAME of each object, which commands take as an argument",
	render.AsJSONPath:      "the fields of a JSONPath template, as in kubectl",
	render.AsGoTemplate:    "a Go template, as in kubectl",
	render.AsCustomColumns: "a table of HEADING:PATH,HEADING:PATH,...",
}

// DescribeFormat says what a value of ListFormats prints.
func DescribeFormat(value string) string {
	name, fromFile := strings.CutSuffix(strings.TrimSuffix(value, "="), fileSuffix)
	if fromFile {
		return aboutFormats[render.Format(name)] + ", read from a file"
	}
	return aboutFormats[render.Format(name)]
}

// CheckName returns an error if a value of -o is no format. It reads no file and no template.
func CheckName(output string) error {
	name, _, _ := strings.Cut(output, "=")
	if slices.Contains(Plain, render.Format(name)) ||
		slices.Contains(Templated, render.Format(strings.TrimSuffix(name, fileSuffix))) {
		return nil
	}
	return errors.New("must be one of " + strings.Join(ListFormats(), ", "))
}
