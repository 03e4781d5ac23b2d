package activities

import (
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/sdk/temporal"
)

func TestMachinesLeftAreAFinalErrorWithItsReason(t *testing.T) {
	var got *temporal.ApplicationError
	err := fmt.Errorf("wrapped: %w", &machinesLeftError{machines: 2})
	if !errors.As(StepError(t.Context(), "dance", "", err), &got) || got.Type() != ReasonLeft || !got.NonRetryable() {
		t.Errorf("got %v", got)
	}
}
