package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// Adopt makes the worker's state the home of its installation. Without confirmation it only reports the differences.
func Adopt(ctx workflow.Context, in operation.AdoptInput) (result operation.AdoptResult, err error) {
	err = cloudQuery.runForResult(ctx, "check the installation's home", &result, sweepActivities.Adopt, in)
	return result, err
}
