package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Adopt makes the state that the worker works on the home of its installation, or only says what speaks against that.
func Adopt(ctx workflow.Context, in api.AdoptInput) (api.AdoptResult, error) {
	var result api.AdoptResult
	err := cloudQuery.startActivity(ctx, "look up the installation's home", sweeps.Adopt, in).Get(ctx, &result)
	return result, err
}
