package nodes

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

func TestOnlyFailedCommandsAreRetriedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"a command":             {&remote.RunError{Exit: 1}, true},
		"a login shell":         {&remote.ShellFailed{Exit: 1}, true},
		"too much output":       {&remote.OutputTooLong{}, false},
		"an installation":       {&rke2.Error{Kind: rke2.InstallFailed, Cause: &remote.RunError{Exit: 2}}, true},
		"a wrong token":         {&rke2.Error{Kind: rke2.WrongToken, Permanent: true}, false},
		"an unreachable source": {&rke2.Error{Kind: rke2.SourceUnreachable}, false},
		"a lost connection":     {&remote.Lost{Cause: errors.New("reset")}, false},
		"nothing":               {nil, false},
	} {
		if got := isRetryable(c.err); got != c.again {
			t.Errorf("%s: retried at once: %t", name, got)
		}
	}
}

func TestLostMachineIsAFinalErrorWithItsReason(t *testing.T) {
	ctx, cancel := activities.WithDeadline(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	lost := &machineLostError{how: "it is gone", cause: context.Cause(ctx)}
	var got *temporal.ApplicationError
	for _, err := range []error{lost, fmt.Errorf("wrapped: %w", lost), &remote.Lost{Cause: lost}} {
		if !errors.As(activities.StepError(t.Context(), "dance", "m", err), &got) ||
			got.Type() != activities.ReasonLost || !got.NonRetryable() {
			t.Errorf("%v: got %v", err, got)
		}
	}
}
