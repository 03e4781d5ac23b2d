package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// errorDocument is an error as -o json prints it on stderr: one document on a line for each error.
type errorDocument struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Field, Value and Want say which input is invalid, and what a valid one is.
	Field string `json:"field,omitempty"`
	Value string `json:"value,omitempty"`
	Want  string `json:"want,omitempty"`
	// Next says what to do.
	Next string `json:"next,omitempty"`
	// ExitCode is the code that this error alone has.
	ExitCode int `json:"exitCode"`
}

// codeReasons are the reasons of errors that have no Reason method, by their exit codes.
var codeReasons = map[int]string{
	ExitFailed: "Failed", ExitUsage: "InvalidRequest", ExitConflict: "Conflict", ExitNotFound: "NotFound",
	ExitUnreachable: "Unreachable", ExitTimeout: "Timeout", ExitInterrupted: "Interrupted",
}

// newErrorDocuments returns the documents of an error: one for each joined error.
func newErrorDocuments(err error) []errorDocument {
	said := map[string]bool{}
	var all []errorDocument
	for _, e := range flattenErrors(err) {
		if !said[e.Error()] {
			said[e.Error()] = true
			all = append(all, errorDocument{describeError(e)})
		}
	}
	if remedies := damageRemedies(err); len(remedies) > 0 && len(all) > 0 {
		all[len(all)-1].Error.Next = printable.Text(strings.Join(remedies, "\n"))
	}
	return all
}

func describeError(err error) errorFields {
	code := exitCode(err)
	fields := errorFields{Reason: codeReasons[code], Message: printable.Text(strings.TrimSpace(err.Error())),
		ExitCode: code}
	if fields.Reason == "" {
		fields.Reason = codeReasons[ExitFailed]
	}
	if named, ok := errors.AsType[interface {
		error
		Reason() string
	}](err); ok && code != ExitNotFound { // theirs say why a step fails
		fields.Reason = named.Reason()
	}
	if invalid, ok := errors.AsType[*api.FieldError](err); ok {
		fields.Field, fields.Value = printable.Line(invalid.Field), printable.Text(invalid.Value)
		fields.Want = printable.Text(invalid.Want)
	}
	if failed := client.AsOperationFailed(err); failed != nil {
		if failed.Failure != nil {
			fields.Reason = failed.Failure.Reason
		}
		fields.Next = "skyctl describe cluster " + failed.Cluster
	}
	if ended, ok := errors.AsType[*interruptedError](err); ok {
		fields.Next = printable.Text(ended.hint)
	}
	return fields
}

// writeErrorDocuments writes an error as JSON, unless it was printed already.
func writeErrorDocuments(w io.Writer, err error) {
	if err == nil || hasType[*reportedError](err) || hasType[*remoteExitError](err) {
		return
	}
	if errors.Is(err, context.Canceled) && !hasType[*interruptedError](err) {
		err = &interruptedError{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, document := range newErrorDocuments(err) {
		_ = encoder.Encode(document) // stderr is where a failure of it would be told
	}
}

// printError prints an error as text, or as JSON where -o json is asked for.
func (a *app) printError(err error) {
	if a.wantsJSONErrors() {
		writeErrorDocuments(a.env.Err, err)
		return
	}
	printError(a.env.Err, err)
}

// wantsJSONErrors reports whether -o json is asked for, also if the command line has a mistake.
func (a *app) wantsJSONErrors() bool {
	if a.command != nil {
		return a.outputForm() == render.AsJSON
	}
	return asksForJSON(a.args)
}

// asksForJSON looks for -o json on a command line that was not understood.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "-o", arg == "--output":
			if i+1 < len(args) && args[i+1] == string(render.AsJSON) {
				return true
			}
		case arg == "-ojson", arg == "-o=json", arg == "--output=json":
			return true
		}
	}
	return false
}
