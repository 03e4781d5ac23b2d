package client

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// sweepTimeout bounds a sweep of thousands of clusters.
const sweepTimeout = 20 * time.Minute

// SweepClusters runs a sweep now, in addition to the scheduled ones. If in names a cluster that does not exist, the
// error is a *store.NotFoundError.
func (c *Client) SweepClusters(ctx context.Context, in operation.SweepInput) (operation.SweepResult, error) {
	summary := "Check every cluster"
	if in.Cluster != "" {
		s, err := c.ConnectStore(ctx)
		if err != nil {
			return operation.SweepResult{}, err
		}
		if _, err := s.ReadCluster(ctx, in.Cluster); err != nil {
			return operation.SweepResult{}, err
		}
		summary = "Check cluster " + in.Cluster
	}
	return runShortWorkflow[operation.SweepResult](ctx, c, client.StartWorkflowOptions{
		ID: operation.SweepScheduleID + "/by-hand-" + uuid.NewString(), WorkflowExecutionTimeout: sweepTimeout,
		StaticSummary: summary,
	}, operation.WorkflowSweep, in)
}
