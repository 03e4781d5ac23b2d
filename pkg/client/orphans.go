package client

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// orphansTimeout bounds listing and terminating orphans on all clouds.
const orphansTimeout = 30 * time.Minute

// ListOrphans lists the orphans on every cloud in use.
func (c *Client) ListOrphans(ctx context.Context) (operation.OrphansResult, error) {
	run, err := c.startOrphansWorkflow(ctx, "List orphans", operation.OrphansInput{})
	if err != nil {
		return operation.OrphansResult{}, err
	}
	var result operation.OrphansResult
	if err := run.awaitResultOrAbandon(ctx, &result); err != nil {
		return operation.OrphansResult{}, err
	}
	return result, nil
}

// TerminateOrphans terminates the orphans with these names or ids. The result has each with its error, if any. The
// workflow continues if ctx ends.
func (c *Client) TerminateOrphans(ctx context.Context, names []string) (operation.OrphansResult, error) {
	run, err := c.startOrphansWorkflow(ctx, fmt.Sprintf("Terminate orphans: %d", len(names)),
		operation.OrphansInput{Terminate: names})
	if err != nil {
		return operation.OrphansResult{}, err
	}
	var result operation.OrphansResult
	if err := run.awaitResult(ctx, &result); err != nil {
		return operation.OrphansResult{}, err
	}
	return result, nil
}

func (c *Client) startOrphansWorkflow(ctx context.Context, summary string,
	in operation.OrphansInput) (shortWorkflow, error) {
	return c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: "orphans/" + uuid.NewString(), WorkflowExecutionTimeout: orphansTimeout, StaticSummary: summary,
	}, operation.WorkflowOrphans, in)
}
