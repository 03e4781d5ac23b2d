package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// measure asks all clusters; one that does not answer in time is asked again the next time.
var measure = effort{once: 50 * time.Second, silence: beatWithin, total: 50 * time.Second}

// Measure brings up to date what every READY cluster has in all and has left. It runs on a schedule.
func Measure(ctx workflow.Context) error {
	return measure.run(ctx, "measure every READY cluster", clusters.MeasureAll)
}
