package client

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sky-shift/skyctl/pkg/api"
)

// StopCluster records that a cluster is to be stopped, and starts the operation. If its phase does not allow that, the
// error is an *api.RefusedError.
func (c *Client) StopCluster(ctx context.Context, ref api.Ref) (OperationRequest, error) {
	return c.requestOperation(ctx, ref, "stop", func(cl *api.Cluster) (bool, error) {
		return cl.RequestStop(c.now())
	})
}

// StartCluster records that a stopped cluster is to be started from the snapshot of its stop, and starts the operation.
// If its phase does not allow that, the error is an *api.RefusedError.
func (c *Client) StartCluster(ctx context.Context, ref api.Ref) (OperationRequest, error) {
	id := api.NewRestoreID(uuid.NewString())
	return c.requestOperation(ctx, ref, "start", func(cl *api.Cluster) (bool, error) {
		return cl.RequestStart(id, c.now())
	})
}

// AwaitStopped follows a cluster, whose stop was requested, until it is STOPPED and its machines are ended. The errors
// are those of AwaitRestored.
func (c *Client) AwaitStopped(ctx context.Context, requested *api.Cluster, limit time.Duration,
	see func(Progress)) (*api.Cluster, error) {
	const doing = "stopping"
	return c.awaitRequest(ctx, requested, limit, see, waitGoal{
		name: "stopped", operation: doing,
		judge: func(cl *api.Cluster) (bool, error) {
			switch {
			case cl.Status.Phase == api.PhaseStopped:
				return !api.AnyMachineMayExist(cl.Status.Machines), nil
			case cl.Status.Stop != nil && !hasFailedSince(requested, cl):
				return false, nil
			}
			return true, c.newRequestFailedError(ctx, requested, cl, doing, nil)
		},
	})
}
