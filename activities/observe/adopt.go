package observe

import (
	"context"
	"errors"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Adopt looks up what speaks against this state, and makes it the installation's home where somebody confirmed that:
// with a number of starts above any that was seen, so that every other state finds itself to be the older one.
func (a *Activities) Adopt(ctx context.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	const step = "adopt the installation"
	if a.Home == nil {
		return operation.AdoptResult{}, activities.StepError(ctx, step, "",
			errors.New("this worker keeps no record of homes"))
	}
	r, err := a.Home.Adopt(ctx, in.Confirmed)
	return r, activities.StepError(ctx, step, "", err)
}
