package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/contexts"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/backup"
	"github.com/sky-shift/skyctl/pkg/store"
)

// The exit codes of skyctl.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitConflict    = 3
	ExitNotFound    = 4
	ExitUnreachable = 5
	ExitTimeout     = 6
	ExitInterrupted = 130
)

// usageError is bad input: a flag, an argument or a setting.
type usageError struct{ err error }

func usageErrorf(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// interruptedError ends a wait after Ctrl-C; hint says how to see the operation.
type interruptedError struct{ hint string }

func (e *interruptedError) Error() string { return "interrupted" }

// serverError says that skyd cannot be started or stopped.
type serverError struct{ err error }

func (e *serverError) Error() string { return e.err.Error() }
func (e *serverError) Unwrap() error { return e.err }

// stateError says that the state of the cluster does not allow the command.
type stateError struct{ err error }

func (e *stateError) Error() string { return e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

// reportedError was printed already; it only sets the exit code.
type reportedError struct{ err error }

func (e *reportedError) Error() string { return e.err.Error() }
func (e *reportedError) Unwrap() error { return e.err }

// codedError has an exit code of its own.
type codedError struct {
	err  error
	code int
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	coded, failed := new(codedError), client.AsOperationFailed(err)
	if code, ok := accessExitCode(err); ok {
		return code
	}
	switch {
	case err == nil:
		return ExitOK
	case failed != nil && failed.Unchanged:
		return ExitConflict
	case errors.As(err, &coded):
		return coded.code
	case hasType[*interruptedError](err), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case hasType[*usageError](err), hasType[*api.FieldError](err), hasType[*client.NoPlacementError](err),
		hasType[*backup.FileError](err), hasType[*backup.ExistsError](err), hasType[*contexts.InputError](err):
		return ExitUsage
	case hasType[*client.ConflictError](err), hasType[*client.ClusterReplacedError](err),
		hasType[*store.ExistsError](err), hasType[*stateError](err), hasType[*client.HomeDoubtError](err),
		hasType[*store.SpecConflictError](err), hasType[*store.UnchangeableError](err),
		hasType[*store.SecretExistsError](err), hasType[*store.SecretInUseError](err),
		hasType[*backup.OccupiedError](err), hasType[*backup.InUseError](err), hasType[*backup.BusyError](err),
		hasType[*backup.RoomError](err), hasType[*api.RefusedError](err), hasType[*api.SnapshotRefusedError](err),
		hasType[*store.SnapshotExistsError](err), hasType[*client.StoppedError](err):
		return ExitConflict
	case hasType[*store.NotFoundError](err), hasType[*orphanNotFoundError](err),
		hasType[*store.SecretMissingError](err), hasType[*store.SnapshotMissingError](err):
		return ExitNotFound
	case hasType[*client.UnreachableError](err), hasType[*store.UnavailableError](err),
		hasType[*client.NoWorkerError](err), hasType[*serverError](err), hasType[*client.NoScheduleError](err),
		hasType[*diskSpaceError](err):
		return ExitUnreachable
	case hasType[*client.WaitTimeoutError](err), hasType[*client.SnapshotWaitError](err):
		return ExitTimeout
	default:
		return ExitFailed
	}
}

// hasType reports whether an error, or one that it wraps, has a type.
func hasType[T error](err error) bool {
	var found T
	return errors.As(err, &found)
}

// printError prints each of the joined errors once, on a line of its own.
func printError(w io.Writer, err error) {
	var shown *reportedError
	var interrupted *interruptedError
	switch {
	case err == nil || errors.As(err, &shown) || hasType[*remoteExitError](err):
	case errors.As(err, &interrupted):
		fmt.Fprintln(w, interrupted.hint)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "Interrupted.")
	default:
		said := map[string]bool{}
		for _, e := range flattenErrors(err) {
			if said[e.Error()] { // one mistake can be found twice
				continue
			}
			said[e.Error()] = true
			first, rest, _ := strings.Cut(strings.TrimSpace(e.Error()), "\n")
			fmt.Fprintln(w, "Error: "+printable.Line(first))
			for l := range strings.Lines(rest) {
				fmt.Fprintln(w, "  "+printable.Line(strings.TrimRight(l, "\n")))
			}
		}
		for _, l := range damageRemedies(err) {
			fmt.Fprintln(w, "  "+printable.Line(l))
		}
	}
}

// flattenErrors takes joined errors apart.
func flattenErrors(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || strings.TrimSpace(err.Error()) == "" {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flattenErrors(e)...)
	}
	return all
}
