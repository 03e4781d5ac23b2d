package connect

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/config"
)

const (
	// maxPollAge is longer than the longest poll. Temporal records the time when a poll starts, and lists a killed
	// worker for about five minutes.
	maxPollAge = 90 * time.Second
	// clockSkew is how far the clocks of this computer and of an external Temporal may differ. Poll times are by
	// Temporal's clock, which a client cannot read, so a dead worker is noticed later.
	clockSkew = 3 * time.Minute
)

// ListActiveWorkers returns the identities of the workers that poll the task queue; now is the time on this computer.
func ListActiveWorkers(ctx context.Context, cfg *config.Config, c client.Client, now time.Time) ([]string, error) {
	d, err := c.DescribeTaskQueue(ctx, cfg.Temporal.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return nil, err
	}
	var alive []string
	for _, p := range d.GetPollers() {
		if isWorkerActive(cfg, p.GetLastAccessTime().AsTime(), now) {
			alive = append(alive, p.GetIdentity())
		}
	}
	return alive, nil
}

// isWorkerActive decides by the last poll. The Temporal of skyd dev uses the clock of this computer.
func isWorkerActive(cfg *config.Config, heard, now time.Time) bool {
	patience := maxPollAge
	if cfg.IsExternal() {
		patience += clockSkew
	}
	return now.Sub(heard) < patience
}
