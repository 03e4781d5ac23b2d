package cloud

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrorKind says what can be done about a cloud's error.
type ErrorKind string

// The kinds of a cloud's errors. Capacity, Quota and Access apply to one placement: another may do. Infeasible and
// Conflict are final. Unreachable and Transient say nothing about the request: the same placement may work later, an
// Unreachable cloud perhaps only after someone fixes it.
const (
	Capacity    ErrorKind = "Capacity"
	Quota       ErrorKind = "Quota"
	Access      ErrorKind = "Access"
	Infeasible  ErrorKind = "Infeasible"
	Conflict    ErrorKind = "Conflict"
	Unreachable ErrorKind = "Unreachable"
	Transient   ErrorKind = "Transient"
)

// Error is a cloud's error with its kind.
type Error struct {
	Kind    ErrorKind
	Message string
	Cause   error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Message, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// Reason is the error's kind.
func (e *Error) Reason() string { return string(e.Kind) }

// Final reports whether asking the same of the same cloud again is of no use.
func (e *Error) Final() bool { return e.Kind != Transient && e.Kind != Unreachable }

// Interruptible is true: if the step's deadline is the cause, the deadline is the reason to report.
func (e *Error) Interruptible() bool { return true }

// KindOf is the kind of an error; an error without a kind is Transient.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// PartialError comes with a list that lacks the machines of clouds that did not answer.
type PartialError struct {
	// Clouds contains the reasons, by the clouds' names in specs.
	Clouds map[string]error
}

func (e *PartialError) Error() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Clouds)) {
		all = append(all, fmt.Sprintf("%s: %v", name, e.Clouds[name]))
	}
	return strings.Join(all, "; ")
}

// LacksCloud reports whether a cloud is among those that did not answer.
func (e *PartialError) LacksCloud(name string) bool { return e.Clouds[name] != nil }

// Unwrap returns the errors of all clouds, ordered by name.
func (e *PartialError) Unwrap() []error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(e.Clouds)) {
		all = append(all, e.Clouds[name])
	}
	return all
}
