package client

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// localDataTimeout bounds a look at a cluster's volumes.
const localDataTimeout = 90 * time.Second

// ListLocalData lists what is only on the disks of a cluster's machines, as its Kubernetes API says.
func (c *Client) ListLocalData(ctx context.Context, ref api.Ref) (operation.LocalDataResult, error) {
	return runShortWorkflow[operation.LocalDataResult](ctx, c, client.StartWorkflowOptions{
		ID: "local-data/" + uuid.NewString(), WorkflowExecutionTimeout: localDataTimeout,
		StaticSummary: "List the volumes of " + ref.Name,
	}, operation.WorkflowListLocalData, ref)
}
