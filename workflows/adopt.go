package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// Adopt makes the state that the worker works on the home of its installation, or only says what speaks against that.
func Adopt(ctx workflow.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	var result operation.AdoptResult
	err := cloudQuery.startActivity(ctx, "look up the installation's home", sweepActivities.Adopt, in).Get(ctx, &result)
	return result, err
}
