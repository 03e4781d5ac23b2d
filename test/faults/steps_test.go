package faults

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// size is how many machines the lanes' clusters have.
const size = 3

// wanted is the cluster that a person asks for.
func (l *lane) wanted() *api.Cluster {
	spec := api.ClusterSpec{Manager: "k8", Cloud: simcloud.Name, CPUs: "2+", NumNodes: size, Provision: true}
	return api.NewCluster(l.cluster, "", spec, nil, time.Now())
}

// create begins a create as skyctl does.
func (l *lane) create() api.Ref {
	l.t.Helper()
	created, err := l.ops.Create(l.t.Context(), l.wanted(), operations.CreateOptions{})
	if err != nil {
		l.t.Fatalf("create: %v", err)
	}
	return created.Cluster.Ref()
}

// ready is a cluster that came to READY without any fault.
func (l *lane) ready() api.Ref {
	l.t.Helper()
	ref := l.create()
	l.awaitReady(ref)
	return ref
}

func (l *lane) awaitReady(ref api.Ref) {
	l.t.Helper()
	if _, err := l.ops.AwaitReady(l.t.Context(), ref, patience, func(operations.Progress) {}); err != nil {
		l.t.Fatalf("%s did not become READY: %v", ref.Name, err)
	}
}

// remove asks for a delete as skyctl does.
func (l *lane) remove(ref api.Ref) {
	l.t.Helper()
	if err := l.ops.Delete(l.t.Context(), ref, false, func(string) {}); err != nil {
		l.t.Fatalf("delete: %v", err)
	}
}

// find is the cluster as etcd has it; nil where it has none.
func (l *lane) find() *api.Cluster {
	l.t.Helper()
	c, err := l.store.Get(l.t.Context(), l.cluster)
	var missing *store.NotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// machine is the name of the machine in a place of the lane's cluster.
func (l *lane) machine(index int) string { return api.MachineName(l.cluster, index) }

// busy says whether an operation works on the cluster.
func (l *lane) busy() bool {
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	d, err := l.conn.DescribeWorkflowExecution(ctx, api.OperationID(l.cluster), "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return false
	}
	return err != nil || d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// sweep has the worker compare the world with etcd, as the schedule does, and returns what it found. One that fails has found
// nothing, and is nil.
func (l *lane) sweep() *api.SweepResult {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	id := "sweep/" + l.cluster + "/" + uuid.NewString()
	run, err := l.conn.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: l.cluster}, api.WorkflowSweep, api.SweepInput{})
	if err != nil {
		l.t.Logf("starting a sweep: %v", err)
		return nil
	}
	var r api.SweepResult
	if err := run.Get(ctx, &r); err != nil {
		l.t.Logf("a sweep failed: %v", err)
		return nil
	}
	return &r
}

// converge sweeps until a sweep finds nothing to do and nothing is being done, as the schedule would in its time.
func (l *lane) converge() {
	l.t.Helper()
	var last *api.SweepResult
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if l.busy() {
			continue
		}
		last = l.sweep()
		if last != nil && len(last.Drifted) == 0 && len(last.Orphans) == 0 && !l.busy() {
			return
		}
	}
	c := l.find()
	if c != nil {
		l.t.Logf("phase %s, failure %+v, drift %v, repairs %+v", c.Status.Phase, c.Status.Failure, c.Status.Drift, c.Status.Repairs)
	}
	l.t.Fatalf("drift does not end: %+v", last)
}
