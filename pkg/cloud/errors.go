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

// The kinds of a cloud's errors. Capacity, Quota and Access hold for one placement: another may do. Infeasible and
// Conflict are final. Unreachable and Transient say nothing about what was asked for: both are worth trying again in
// the same place, an Unreachable cloud perhaps only once somebody has looked after it.
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

// Interruptible is true: where the end of a step's deadline is the cause, the deadline is the reason to report.
func (e *Error) Interruptible() bool { return true }

// KindOf is the kind of an error; one that carries none is Transient.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// PartialError comes with a listing that lacks what some clouds may have, since they could not be asked.
type PartialError struct {
	// Clouds has why, by the cloud's name as specs have it.
	Clouds map[string]error
}

func (e *PartialError) Error() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(e.Clouds)) {
		all = append(all, fmt.Sprintf("%s: %v", name, e.Clouds[name]))
	}
	return strings.Join(all, "; ")
}

// LacksCloud says that a cloud is among those that could not be asked.
func (e *PartialError) LacksCloud(name string) bool { return e.Clouds[name] != nil }

// Unwrap returns the errors of all clouds, by their names.
func (e *PartialError) Unwrap() []error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(e.Clouds)) {
		all = append(all, e.Clouds[name])
	}
	return all
}
