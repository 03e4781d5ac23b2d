package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
)

// cloudCheck asks all clouds; somebody waits for the answer.
var cloudCheck = activityKind{once: 2 * time.Minute, silence: heartbeatTimeout, total: 3 * time.Minute}

// Check asks a worker what it can reach, and changes nothing.
func Check(ctx workflow.Context) (api.CheckResult, error) {
	var result api.CheckResult
	err := cloudCheck.startActivity(ctx, "look at every cloud", machines.Check).Get(ctx, &result)
	return result, err
}
