package client

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// checkTimeout bounds a check of all clouds; SkyPilot may have to start its server first.
const checkTimeout = 4 * time.Minute

// CheckClouds checks a cloud, or every cloud if the name is empty, and what it needs.
func (c *Client) CheckClouds(ctx context.Context, cloud string) (operation.CheckResult, error) {
	return runShortWorkflow[operation.CheckResult](ctx, c, client.StartWorkflowOptions{
		ID: "check/" + uuid.NewString(), WorkflowExecutionTimeout: checkTimeout,
		StaticSummary: "Check " + cmp.Or(cloud, "every cloud"),
	}, operation.WorkflowCheck, operation.CheckInput{Cloud: cloud})
}

// ReadServerVersions returns the versions of etcd and Temporal, by the names that CheckHealth uses. A server that does
// not answer is left out.
func (c *Client) ReadServerVersions(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, c.healthTimeout)
	defer cancel()
	var etcd, temporal string
	var queries sync.WaitGroup
	queries.Go(func() {
		if s, err := c.ConnectStore(ctx); err == nil {
			etcd, _ = s.ServerVersion(ctx)
		}
	})
	queries.Go(func() {
		own := New(c.cfg, c.now) // a client opens one connection at a time
		defer own.Close()
		t, err := own.ConnectTemporal(ctx)
		if err != nil {
			return
		}
		if info, err := t.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{}); err == nil {
			temporal = info.GetServerVersion()
		}
	})
	queries.Wait()
	versions := map[string]string{}
	for name, v := range map[string]string{"etcd": etcd, "Temporal": temporal} {
		if v != "" {
			versions[name] = v
		}
	}
	return versions
}
