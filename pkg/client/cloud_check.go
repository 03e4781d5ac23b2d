package client

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// checkTimeout bounds the look at all clouds, one of which may have to start its server first.
const checkTimeout = 4 * time.Minute

// CheckClouds has a worker look at every cloud and what it needs.
func (c *Client) CheckClouds(ctx context.Context) (operation.CheckResult, error) {
	var result operation.CheckResult
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return result, err
	}
	call, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	r, err := t.ExecuteWorkflow(call, client.StartWorkflowOptions{
		ID: "check/" + uuid.NewString(), TaskQueue: c.cfg.Temporal.TaskQueue, WorkflowExecutionTimeout: checkTimeout,
		StaticSummary: "Look at every cloud",
	}, operation.WorkflowCheck)
	cancel()
	if err != nil {
		return result, c.toTemporalError(ctx, err)
	}
	if err := c.awaitResult(ctx, t, r, &result); err != nil {
		c.abandonWorkflow(ctx, t, r)
		return operation.CheckResult{}, err
	}
	return result, nil
}

// ReadServerVersions are those of etcd and Temporal, by the names of Health's parts; what does not tell is left out.
func (c *Client) ReadServerVersions(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var etcd, temporal string
	var asked sync.WaitGroup
	asked.Go(func() {
		if s, err := c.ConnectStore(ctx); err == nil {
			etcd, _ = s.ServerVersion(ctx)
		}
	})
	asked.Go(func() {
		own := New(c.cfg, c.now) // a client makes one connection at a time
		defer own.Close()
		t, err := own.ConnectTemporal(ctx)
		if err != nil {
			return
		}
		if told, err := t.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{}); err == nil {
			temporal = told.GetServerVersion()
		}
	})
	asked.Wait()
	found := map[string]string{}
	for name, v := range map[string]string{"etcd": etcd, "Temporal": temporal} {
		if v != "" {
			found[name] = v
		}
	}
	return found
}
