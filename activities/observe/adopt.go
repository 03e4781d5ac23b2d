package observe

import (
	"context"
	"errors"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Adopt finds what contradicts this state, and if confirmed makes it the installation's home: with a higher start
// number than any other that was seen, so that every other state finds itself older.
func (a *Activities) Adopt(ctx context.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	const step = "adopt the installation"
	if a.Home == nil {
		return operation.AdoptResult{}, activities.StepError(ctx, step, "",
			errors.New("this worker keeps no record of homes"))
	}
	r, err := a.Home.Adopt(ctx, in.Confirmed)
	return r, activities.StepError(ctx, step, "", err)
}
