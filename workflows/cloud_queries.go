package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// Plan ranks a cloud's placements for a spec. It changes nothing.
func Plan(ctx workflow.Context, in operation.PlanInput) (result operation.PlanResult, err error) {
	err = cloudQuery.runForResult(ctx, "list placements", &result, machineActivities.CheckSpec, in)
	return result, err
}

// cloudCheck checks all clouds while a person waits.
var cloudCheck = activityKind{attempt: 2 * time.Minute, heartbeat: heartbeatTimeout, total: 3 * time.Minute}

// Check reports what a worker can reach. It changes nothing.
func Check(ctx workflow.Context) (result operation.CheckResult, err error) {
	err = cloudCheck.runForResult(ctx, "check every cloud", &result, machineActivities.Check)
	return result, err
}
