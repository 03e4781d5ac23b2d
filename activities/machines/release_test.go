package machines

import (
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
)

func TestRemainingMachinesAreAFinalErrorWithItsReason(t *testing.T) {
	var got *temporal.ApplicationError
	err := fmt.Errorf("wrapped: %w", &machinesLeftError{machines: 2})
	if !errors.As(activities.StepError(t.Context(), "dance", "", err), &got) || got.Type() != activities.ReasonLeft ||
		!got.NonRetryable() {
		t.Errorf("got %v", got)
	}
}
