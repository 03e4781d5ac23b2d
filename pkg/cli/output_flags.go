package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/printer"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

// outputFlags are -o and the flags that go with it. The value of -o itself is the pflag.Value.
type outputFlags struct {
	request printer.Request
	sortBy  string
	printer *printer.Printer
	// deletes is the kind of objects that the command deletes, so that only their names can be printed; empty if the
	// objects stay.
	deletes string
}

// addOutputFlags adds -o and --template to a command that prints one thing. The command must not set PreRunE.
func addOutputFlags(cmd *cobra.Command) *outputFlags {
	o := &outputFlags{request: printer.Request{Output: string(render.AsTable)}}
	cmd.Flags().VarP(o, "output", "o", "table, wide, json, yaml, name or a template: see skyctl help output")
	cmd.Flags().StringVar(&o.request.Template, "template", "", "template of -o go-template (the default with this "+
		"flag), jsonpath or custom-columns")
	panicOnError(cmd.Flags().MarkHidden("template")) // skyctl help output explains it
	registerCompletion(cmd, "output", o.completeFormats)
	cmd.PreRunE = func(*cobra.Command, []string) error { return o.prepare() }
	return o
}

// addListOutputFlags is addOutputFlags for a command that lists objects: it adds --no-headers and --sort-by.
func addListOutputFlags(cmd *cobra.Command) *outputFlags {
	o := addOutputFlags(cmd)
	cmd.Flags().BoolVar(&o.request.NoHeaders, "no-headers", false, "print no headings above a table or custom columns")
	cmd.Flags().StringVar(&o.sortBy, "sort-by", "", "sort by this field, such as .metadata.name; -o json shows the "+
		"fields")
	return o
}

// addDeletedOutputFlags is addOutputFlags for a command that deletes objects of a kind, such as "cluster": it prints
// only their names.
func addDeletedOutputFlags(cmd *cobra.Command, kind string) *outputFlags {
	o := addOutputFlags(cmd)
	o.deletes = kind
	describeOutputFlag(cmd, fmt.Sprintf("name: print only %s/NAME of each deleted %[1]s", kind))
	return o
}

// addChangedOutputFlags is addOutputFlags for a command that changes objects: with -o it prints only these.
func addChangedOutputFlags(cmd *cobra.Command) *outputFlags {
	o := addOutputFlags(cmd)
	describeOutputFlag(cmd, "print only the changed object, as json, yaml, name or a template: see skyctl help output")
	return o
}

// describeOutputFlag gives -o another help, and none about the default, which prints no object.
func describeOutputFlag(cmd *cobra.Command, help string) {
	f := cmd.Flags().Lookup("output")
	f.Usage, f.DefValue = help, ""
}

// requireNameOfDeleted refuses formats that need an object where it is gone.
func (o *outputFlags) requireNameOfDeleted() error {
	if form := o.form(); o.deletes != "" && form.IsStructured() && form != render.AsName {
		return usageErrorf("delete has no -o %s: each %s is gone; -o name prints its name", form, o.deletes)
	}
	return nil
}

func (o *outputFlags) completeFormats(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	formats := printer.ListFormats()
	if o.deletes != "" {
		formats = []string{string(render.AsName)}
	}
	var all []string
	for _, f := range formats {
		all = append(all, cobra.CompletionWithDesc(f, printer.DescribeFormat(f)))
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func (o *outputFlags) String() string { return o.request.Output }
func (o *outputFlags) Type() string   { return "FORMAT" }

// Set checks the name of the format only; prepare checks the template, which may be in another flag.
func (o *outputFlags) Set(v string) error {
	if err := printer.CheckName(v); err != nil {
		return err
	}
	o.request.Output = v
	return nil
}

// prepare reads the template of the format.
func (o *outputFlags) prepare() error {
	if err := o.requireNameOfDeleted(); err != nil {
		return err
	}
	if o.request.Template != "" && o.request.Output == string(render.AsTable) {
		o.request.Output = string(render.AsGoTemplate)
	}
	p, err := printer.New(o.request, os.ReadFile)
	if err != nil {
		return &api.FieldError{Field: "output", Value: o.request.Output, Want: err.Error()}
	}
	o.printer = p
	return nil
}

// form is the format, without its template.
func (o *outputFlags) form() render.Format {
	name, _, _ := strings.Cut(o.request.Output, "=")
	return render.Format(strings.TrimSuffix(name, "-file"))
}

// isStructured is true if a program reads the output: then only errors go to stderr.
func (o *outputFlags) isStructured() bool { return o.form().IsStructured() }

// isWide is true for the table with more columns.
func (o *outputFlags) isWide() bool { return o.form() == render.AsWide }

// write writes an object in the format of -o.
func (o *outputFlags) write(w io.Writer, object any) error { return o.printer.Write(w, object) }

// writeKind writes an object that does not say its kind.
func (o *outputFlags) writeKind(w io.Writer, kind string, object any) error {
	return o.printer.WriteKind(w, kind, object)
}

// writeItem writes the next object of a stream in the format of -o.
func (o *outputFlags) writeItem(w io.Writer, object any) error { return o.printer.WriteItem(w, object) }

// writeTable writes a table, without its headings if these are not wanted.
func (o *outputFlags) writeTable(w io.Writer, t *render.Table) error {
	if !o.printer.HasHeaders() {
		t.HideHeadings()
	}
	return terminal.WriteTable(w, t)
}

// sortedOrder returns the order of objects that --sort-by asks for, as their numbers.
func sortedOrder[T any](o *outputFlags, objects []T) ([]int, error) {
	order, wrong := printer.SortedOrder(objects, o.sortBy)
	if wrong != nil {
		return nil, &api.FieldError{Field: "sort-by", Value: o.sortBy, Want: wrong.Error()}
	}
	return order, nil
}

// sortObjects sorts objects as --sort-by says. The objects are as -o json shows them.
func sortObjects[T any](o *outputFlags, objects []T) error {
	order, err := sortedOrder(o, objects)
	before := slices.Clone(objects)
	for to, from := range order {
		objects[to] = before[from]
	}
	return err
}

const outputHelp = `-o chooses how a command prints what it shows:

  table                  columns for people (the default)
  wide                   more columns, one line for each object
  json, yaml             whole objects; times are in UTC
  name                   KIND/NAME of each object, which commands take as an argument
  jsonpath=TEMPLATE      the fields of a JSONPath template, as in kubectl
  go-template=TEMPLATE   a Go template, as in kubectl
  custom-columns=COLUMNS a table of HEADING:PATH,HEADING:PATH,...

jsonpath-file=FILE, go-template-file=FILE and custom-columns-file=FILE read a file instead.
--template TEMPLATE alone is -o go-template=TEMPLATE.
-o json shows the names of the fields. A list has its objects in .items; custom-columns and name see
each object. With -o json each error is printed as JSON too, on one line of standard error:
{"error": {"reason": …, "message": …, "field": …, "value": …, "want": …, "next": …, "exitCode": …}}

On a terminal a table fits its width: the widest cells are shortened and end in "…", and columns on
the right are left out if the terminal is too narrow. Pages of text, such as those of describe, and
warnings are broken between words, and columns that do not fit are below the others. In a pipe or a
file everything is printed as it is.
On a terminal STATUS has a colour, unless NO_COLOR is set or TERM is dumb.

Commands that change an object, such as create, apply, scale and stop, print it as it is after the
change; with --wait, after the wait. Nothing else is on standard output then. delete has -o name only.

--no-headers leaves out the headings of tables and custom columns, and --sort-by sorts by a field.

Examples:
  skyctl get clusters -o name
  skyctl get cluster dev -o jsonpath='{.status.endpoint}'
  skyctl scale cluster dev --num_nodes 5 --wait -o json
  skyctl get clusters -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
  skyctl get clusters -o custom-columns=NAME:.metadata.name,STATUS:.status.phase
  skyctl get clusters --sort-by .metadata.created_at
  skyctl get machines dev --no-headers --sort-by .name`
