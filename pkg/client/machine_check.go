package client

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// machineCheckTimeout bounds a look at all machines of a cluster.
const machineCheckTimeout = 6 * time.Minute

// CheckMachines looks at every machine of a cluster as at a new one.
func (c *Client) CheckMachines(ctx context.Context, ref api.Ref) (operation.CheckMachinesResult, error) {
	return runShortWorkflow[operation.CheckMachinesResult](ctx, c, client.StartWorkflowOptions{
		ID: "check-machines/" + uuid.NewString(), WorkflowExecutionTimeout: machineCheckTimeout,
		StaticSummary: "Check the machines of " + ref.Name,
	}, operation.WorkflowCheckMachines, ref)
}
