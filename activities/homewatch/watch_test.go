package homewatch

import (
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

func TestHomeInDoubtIsAFinalErrorWithItsReason(t *testing.T) {
	var got *temporal.ApplicationError
	err := fmt.Errorf("wrapped: %w", &DoubtError{&api.HomeDoubt{}})
	if !errors.As(activities.StepError(t.Context(), "dance", "", err), &got) || got.Type() != "HomeInDoubt" ||
		!got.NonRetryable() {
		t.Errorf("got %v", got)
	}
}
