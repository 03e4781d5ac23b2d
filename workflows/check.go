package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// cloudCheck asks all clouds; somebody waits for the answer.
var cloudCheck = activityKind{once: 2 * time.Minute, silence: heartbeatTimeout, total: 3 * time.Minute}

// Check asks a worker what it can reach, and changes nothing.
func Check(ctx workflow.Context) (operation.CheckResult, error) {
	var result operation.CheckResult
	err := cloudCheck.startActivity(ctx, "look at every cloud", machineActivities.Check).Get(ctx, &result)
	return result, err
}
