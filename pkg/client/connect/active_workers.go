package connect

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/config"
)

const (
	// maxPollAge is longer than the longest poll, at whose beginning Temporal stamps who polls. A worker that was
	// killed stays listed for some five minutes.
	maxPollAge = 90 * time.Second
	// clockSkew is how far the clocks of this machine and of an external Temporal may be apart. Temporal tells when
	// somebody polled by its own clock and never what that clock shows now; a worker that died is then noticed later.
	clockSkew = 3 * time.Minute
)

// ListActiveWorkers are the identities of the workers that ask the task queue for work, by the time of this machine.
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

// isWorkerActive judges by when Temporal last heard of a worker. The Temporal of skyd dev has the clock of this
// machine.
func isWorkerActive(cfg *config.Config, heard, now time.Time) bool {
	patience := maxPollAge
	if cfg.IsExternal() {
		patience += clockSkew
	}
	return now.Sub(heard) < patience
}
