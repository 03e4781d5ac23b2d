package record

import (
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

func TestMissingKeysAreAFinalErrorWithTheirReason(t *testing.T) {
	var got *temporal.ApplicationError
	err := fmt.Errorf("wrapped: %w", &keysMissingError{cluster: "c"})
	if !errors.As(activities.StepError(t.Context(), "dance", "", err), &got) ||
		got.Type() != string(api.DriftKeysMissing) || !got.NonRetryable() {
		t.Errorf("got %v", got)
	}
}
