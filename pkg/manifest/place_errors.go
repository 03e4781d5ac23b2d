package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// PlaceError is what is wrong at one place of a file.
type PlaceError struct {
	Source       string
	Line, Column int
	// Path leads to the field: "spec.pools[gpu].machine.cpus". It is empty if the text of the file is wrong.
	Path string
	// Found is what is there, and Want what would be right. Found has no values that may be secret.
	Found, Want string
}

func (e *PlaceError) Error() string {
	text := fmt.Sprintf("%s:%d:%d: ", e.Source, e.Line, e.Column)
	if e.Path != "" {
		text += quotePath(e.Path) + ": "
	}
	text += e.Found
	if e.Want != "" {
		text += ", want " + e.Want
	}
	return text
}

// Unwrap returns the error as a *api.FieldError without a place.
func (e *PlaceError) Unwrap() error {
	return &api.FieldError{Field: e.Path, Value: e.Found, Want: e.Want}
}

// PlaceErrors are the errors of one file, in the order of their places. It consists of *PlaceError, and so of
// *api.FieldError.
type PlaceErrors struct {
	All []*PlaceError
	// More is how many errors the file has beside those of All.
	More int
}

// mostErrors is how many errors of a file are listed.
const mostErrors = 20

func (e *PlaceErrors) Error() string {
	var lines []string
	for _, err := range e.Unwrap() {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, each with its place, and one with the number of those that are not listed.
func (e *PlaceErrors) Unwrap() []error {
	var all []error
	for _, err := range e.All {
		all = append(all, err)
	}
	if e.More > 0 {
		all = append(all, fmt.Errorf("%s: %d more errors", e.All[0].Source, e.More))
	}
	return all
}

// Reason is that of a *api.FieldError.
func (e *PlaceErrors) Reason() string { return api.ReasonInvalidSpec }

// Final is true, because a retry needs another file.
func (e *PlaceErrors) Final() bool { return true }

// newPlaceErrors returns errors as one; nil if there are none.
func newPlaceErrors(all []*PlaceError) error {
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *PlaceError) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	all = slices.CompactFunc(all, func(a, b *PlaceError) bool { return *a == *b })
	listed := min(len(all), mostErrors)
	return &PlaceErrors{All: all[:listed], More: len(all) - listed}
}

var (
	secretName = lazyregexp.New(`(?i)(password|passwd|token|secret|credential|private_?key)`)
	userInURL  = lazyregexp.New(`//\S*@`) // a password may have a slash
)

// longestPath is how many characters of a path an error shows.
const longestPath = 300

// quotePath returns a path for an error. A key that a file makes up can have any characters, and any length.
func quotePath(path string) string {
	if runes := []rune(path); len(runes) > longestPath {
		path = string(runes[:longestPath]) + "…"
	}
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// longestValue is how many characters of a value an error shows.
const longestValue = 80

// itemsInPath are the items of lists in a path: [gpu].
var itemsInPath = lazyregexp.New(`\[[^\]]*\]`)

// isNameOfSecret reports whether a field has the name of a stored secret, and the value may be one.
func isNameOfSecret(path, value string) bool {
	plain := itemsInPath.ReplaceAllString(path, "")
	return api.IsSecretName(value) && slices.ContainsFunc(api.FileFields(), func(f api.FileField) bool {
		return f.Path == plain && f.Want == api.WantSecretName
	})
}

// quoteValue returns a value for an error about the field with a path. It hides what may be a secret.
func quoteValue(path, value string) string {
	if secretName.MatchString(path) && !isNameOfSecret(path, value) {
		return "a hidden value"
	}
	value = userInURL.ReplaceAllString(value, "//…@")
	if runes := []rune(value); len(runes) > longestValue {
		value = string(runes[:longestValue]) + "…"
	}
	return strconv.Quote(value)
}
