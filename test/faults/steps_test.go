package faults

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// size is how many machines the lanes' clusters have.
const size = 3

// wanted is the spec of the lane's cluster.
func (l *lane) wanted() *api.Cluster {
	spec := api.GroupSpec{Manager: "k8", Cloud: simcloud.Name, CPUs: "2+", NumNodes: size, Provision: true}
	return api.NewCluster(l.cluster, "", spec, nil, time.Now())
}

// create starts a create as skyctl does.
func (l *lane) create() api.Ref {
	l.t.Helper()
	l.insist("create", func() error {
		_, err := l.ops.CreateCluster(l.t.Context(), l.wanted(), client.CreateOptions{})
		return err
	})
	return l.find().Ref()
}

// insist retries, as a user does when skyctl reports that a server does not answer.
func (l *lane) insist(what string, do func() error) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		var (
			away    *client.UnreachableError
			nobody  *client.NoWorkerError
			silent  *store.UnavailableError
			twofold *client.ConflictError // the operation was started before the server stopped answering
		)
		if errors.As(err, &twofold) && len(twofold.Differs) == 0 && twofold.Phase != api.PhaseDeleting {
			return
		}
		patient := errors.As(err, &away) || errors.As(err, &nobody) || errors.As(err, &silent) ||
			errors.Is(err, context.DeadlineExceeded)
		if !patient || time.Now().After(deadline) {
			l.t.Fatalf("%s: %v", what, err)
		}
	}
}

// ready returns a cluster that became READY without a fault. Lanes take turns, because they all start at once.
func (l *lane) ready() api.Ref {
	l.t.Helper()
	turns <- struct{}{}
	defer func() { <-turns }()
	ref := l.create()
	l.awaitReady(ref)
	return ref
}

// turns limits how many lanes use much CPU at a time.
var turns = make(chan struct{}, 3)

func (l *lane) awaitReady(ref api.Ref) {
	l.t.Helper()
	if _, err := l.ops.AwaitReady(l.t.Context(), ref, patience, func(client.Progress) {}); err != nil {
		l.t.Fatalf("%s did not become READY: %v", ref.Name, err)
	}
}

// remove starts a delete as skyctl does.
func (l *lane) remove(ref api.Ref) {
	l.t.Helper()
	l.insist("delete", func() error { return l.ops.DeleteCluster(l.t.Context(), ref, false, func(string) {}) })
}

// find returns the cluster in etcd, or nil.
func (l *lane) find() *api.Cluster {
	l.t.Helper()
	var c *api.Cluster
	l.insist("reading the cluster", func() (err error) {
		c, err = l.store.ReadCluster(l.t.Context(), l.cluster)
		if missing := new(store.NotFoundError); errors.As(err, &missing) {
			err = nil
		}
		return err
	})
	return c
}

// machine returns the name of the machine with an index.
func (l *lane) machine(index int) string { return api.MachineName(l.cluster, index) }

// busy reports whether an operation of the cluster is running, or what keeps its snapshots.
func (l *lane) busy() bool {
	return l.isRunning(operation.WorkflowID(l.cluster)) || l.isRunning(operation.KeepSnapshotsID(l.cluster))
}

func (l *lane) isRunning(workflow string) bool {
	ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
	defer cancel()
	d, err := l.conn.DescribeWorkflowExecution(ctx, workflow, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return false
	}
	return err != nil || d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// sweep runs a sweep, as the schedule does, and returns what it found; nil if it fails.
func (l *lane) sweep() *operation.SweepResult {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	id := "sweep/" + l.cluster + "/" + uuid.NewString()
	run, err := l.conn.ExecuteWorkflow(ctx, sdkclient.StartWorkflowOptions{ID: id, TaskQueue: l.cluster},
		operation.WorkflowSweep, operation.SweepInput{})
	if err != nil {
		l.t.Logf("starting a sweep: %v", err)
		return nil
	}
	var r operation.SweepResult
	if err := run.Get(ctx, &r); err != nil {
		l.t.Logf("a sweep failed: %v", err)
		return nil
	}
	return &r
}

// beginSweep starts a sweep without waiting for it, unless one is running.
func (l *lane) beginSweep() {
	l.t.Helper()
	if l.sweeping != nil {
		d, err := l.conn.DescribeWorkflowExecution(l.t.Context(), l.sweeping.GetID(), l.sweeping.GetRunID())
		if err != nil || d.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return
		}
	}
	id := "sweep/" + l.cluster + "/" + uuid.NewString()
	run, err := l.conn.ExecuteWorkflow(l.t.Context(), sdkclient.StartWorkflowOptions{ID: id, TaskQueue: l.cluster},
		operation.WorkflowSweep, operation.SweepInput{})
	l.check(err)
	l.sweeping = run
}

// installation returns the id of the installation that owns the lane's machines.
func (l *lane) installation() string {
	l.t.Helper()
	id, err := l.store.EnsureInstallationID(l.t.Context())
	l.check(err)
	return id
}

// converge sweeps until a sweep finds nothing to do and no operation is running.
func (l *lane) converge() {
	l.t.Helper()
	var last *operation.SweepResult
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(askEvery) {
		if l.busy() {
			continue
		}
		last = l.sweep()
		if last != nil && len(last.Drifted)+len(last.Orphans)+len(last.Unasked)+len(last.Failed) == 0 && !l.busy() {
			return
		}
	}
	c := l.find()
	if c != nil {
		l.t.Logf("phase %s, failure %+v, drift %v, repairs %+v", c.Status.Phase, c.Status.Failure, c.Status.Drift,
			c.Status.Repairs)
	}
	l.t.Fatalf("the cluster does not become in sync: %+v", last)
}
