package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestEachKindOfErrorHasItsCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, ExitOK},
		{errors.New("anything"), ExitFailed},
		{&client.OperationFailedError{}, ExitFailed},
		{&client.OperationFailedError{Unchanged: true}, ExitConflict},
		{&client.ClusterDeletedError{}, ExitFailed},
		{&client.DriftError{}, ExitFailed},
		{usageErrorf("no"), ExitUsage},
		{errors.Join(&api.FieldError{}, &api.FieldError{}), ExitUsage},
		{&client.NoPlacementError{}, ExitUsage},
		{&client.ConflictError{}, ExitConflict},
		{&client.ClusterReplacedError{}, ExitConflict},
		{&store.ExistsError{}, ExitConflict},
		{&stateError{errors.New("not yet")}, ExitConflict},
		{&api.RefusedError{}, ExitConflict},
		{&api.SnapshotRefusedError{}, ExitConflict},
		{&store.SnapshotExistsError{}, ExitConflict},
		{&client.StoppedError{}, ExitConflict},
		{&client.SnapshotFailedError{}, ExitFailed},
		{&store.SnapshotMissingError{}, ExitNotFound},
		{&client.SnapshotWaitError{}, ExitTimeout},
		{&store.NotFoundError{}, ExitNotFound},
		{&client.UnreachableError{}, ExitUnreachable},
		{&orphanNotFoundError{}, ExitNotFound},
		{&client.NoWorkerError{}, ExitUnreachable},
		{&client.NoScheduleError{}, ExitUnreachable},
		{&store.UnavailableError{}, ExitUnreachable},
		{&serverError{errors.New("no")}, ExitUnreachable},
		{&client.WaitTimeoutError{}, ExitTimeout},
		{context.Canceled, ExitInterrupted},
		{&interruptedError{}, ExitInterrupted},
	} {
		if got := exitCode(tt.err); got != tt.code {
			t.Errorf("%T: %d, want %d", tt.err, got, tt.code)
		}
		if tt.err == nil {
			continue
		}
		if got := exitCode(&reportedError{fmt.Errorf("doing it: %w", tt.err)}); got != tt.code {
			t.Errorf("%T, wrapped: %d, want %d", tt.err, got, tt.code)
		}
		if !strings.Contains(exitCodesHelp, fmt.Sprintf("\n  %-4d", tt.code)) {
			t.Errorf("skyctl help exit-codes lacks %d", tt.code)
		}
	}
}

func TestErrorsAreOneLineEachAndPrintable(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.Join(errors.New("one"), errors.New("two")), "Error: one\nError: two\n"},
		{errors.New("it ended and said:\nport taken"), "Error: it ended and said:\n  port taken\n"},
		{errors.New("a\x1b[2Jb\x07c"), "Error: abc\n"},
		{&reportedError{errors.New("seen")}, ""},
		{&interruptedError{hint: "The operation continues."}, "The operation continues.\n"},
		{nil, ""},
	} {
		var b bytes.Buffer
		printError(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, b.String(), tt.want)
		}
	}
}
