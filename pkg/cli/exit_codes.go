package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
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
	var (
		coded       *codedError
		usage       *usageError
		field       *api.FieldError
		nowhere     *client.NoPlacementError
		conflict    *client.ConflictError
		replaced    *client.ClusterReplacedError
		exists      *store.ExistsError
		taken       *store.SecretExistsError
		inUse       *store.SecretInUseError
		noSecret    *store.SecretMissingError
		changed     *store.SpecConflictError
		fixed       *store.UnchangeableError
		notFound    *store.NotFoundError
		noOrphan    *orphanNotFoundError
		noSchedule  *client.NoScheduleError
		unreachable *client.UnreachableError
		noWorker    *client.NoWorkerError
		server      *serverError
		state       *stateError
		silent      *store.UnavailableError
		wait        *client.WaitTimeoutError
		doubt       *client.HomeDoubtError
		room        *diskSpaceError
		interrupted *interruptedError
		noBackup    *backup.FileError
		present     *backup.ExistsError
		occupied    *backup.OccupiedError
		running     *backup.InUseError
		backingUp   *backup.BusyError
		noRoom      *backup.RoomError
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &usage), errors.As(err, &field), errors.As(err, &nowhere),
		errors.As(err, &noBackup), errors.As(err, &present):
		return ExitUsage
	case errors.As(err, &conflict), errors.As(err, &replaced), errors.As(err, &exists), errors.As(err, &state),
		errors.As(err, &doubt), errors.As(err, &changed), errors.As(err, &fixed), errors.As(err, &taken),
		errors.As(err, &inUse), errors.As(err, &occupied), errors.As(err, &running), errors.As(err, &backingUp),
		errors.As(err, &noRoom):
		return ExitConflict
	case errors.As(err, &notFound), errors.As(err, &noOrphan), errors.As(err, &noSecret):
		return ExitNotFound
	case errors.As(err, &unreachable), errors.As(err, &silent), errors.As(err, &noWorker), errors.As(err, &server),
		errors.As(err, &noSchedule), errors.As(err, &room):
		return ExitUnreachable
	case errors.As(err, &wait):
		return ExitTimeout
	default:
		return ExitFailed
	}
}

// printError prints each of the joined errors once, on a line of its own.
func printError(w io.Writer, err error) {
	var shown *reportedError
	var interrupted *interruptedError
	switch {
	case err == nil || errors.As(err, &shown):
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
