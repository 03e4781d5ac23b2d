package integration

import (
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/worker"
)

func TestOnlyOldChecksAreForgotten(t *testing.T) {
	t.Parallel()
	servers, err := devserver.StartServers(t.Context(), filepath.Join(t.TempDir(), "state"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	c, namespace := servers.Temporal, servers.Config.Temporal.Namespace
	end := func(id, workflow string) {
		options := sdkclient.StartWorkflowOptions{ID: id, TaskQueue: "no-worker"}
		if _, err := c.ExecuteWorkflow(t.Context(), options, workflow); err != nil {
			t.Fatal(err)
		}
		if err := c.TerminateWorkflow(t.Context(), id, "", "the test ends it"); err != nil {
			t.Fatal(err)
		}
	}
	listed := func() (ids []string) {
		all, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace,
			Query: "ExecutionStatus != 'Running'"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all.GetExecutions() {
			ids = append(ids, e.GetExecution().GetWorkflowId())
		}
		slices.Sort(ids)
		return ids
	}
	end("sweep-1", operation.WorkflowSweep)
	end("plan-1", operation.WorkflowPlan)
	end("cluster/one", operation.WorkflowProvision)
	end("orphans", operation.WorkflowOrphans)
	before := time.Now()
	end("sweep-2", operation.WorkflowSweep)
	running := sdkclient.StartWorkflowOptions{ID: "sweep-3", TaskQueue: "no-worker"}
	if _, err := c.ExecuteWorkflow(t.Context(), running, operation.WorkflowSweep); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "all that ended is listed", func() bool { return len(listed()) == 5 })
	if n, err := worker.ForgetChecks(t.Context(), c, namespace, before); n != 2 || err != nil {
		t.Errorf("deleted %d, %v, want the first sweep and the plan", n, err)
	}
	want := []string{"cluster/one", "orphans", "sweep-2"}
	eventually.Holds(t, "the old sweep and the plan are gone", func() bool { return slices.Equal(listed(), want) })
	if _, err := c.DescribeWorkflowExecution(t.Context(), "sweep-3", ""); err != nil {
		t.Errorf("the running sweep: %v", err)
	}
}
