package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

// terminateAfter is how long a purge waits for a running delete to stop before it terminates it.
const terminateAfter = 15 * time.Second

// DeleteCluster marks a cluster as DELETING and returns once its delete is running or the cluster is gone. It only
// deletes the cluster with the UID in ref; if a new cluster has the name, the error is a *ClusterReplacedError. A
// running provision is cancelled. If the delete is recorded and Temporal does not answer, the error is a
// *DeferredError. Purge removes the record even if the cloud cannot be reached. notice gets what the
// call waits for.
func (c *Client) DeleteCluster(ctx context.Context, ref api.Ref, purge bool, notice func(string)) error {
	return c.deleteIf(ctx, ref, purge, func(*api.Cluster) error { return nil }, notice)
}

// deleteIf is DeleteCluster, unless check returns an error for the cluster at the moment of the write.
func (c *Client) deleteIf(ctx context.Context, ref api.Ref, purge bool, check func(*api.Cluster) error,
	notice func(string)) error {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return err
	}
	if err := refuseHomeInDoubt(ctx, s); err != nil {
		return err
	}
	err = c.retryStore(ctx, func() error {
		_, err := s.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
			if err := check(cl); err != nil {
				return err
			}
			cl.Status.SetPhase(api.PhaseDeleting, "DeleteRequested", c.now().UTC())
			return nil
		})
		return err
	})
	if isClusterMissing(err) {
		if _, other := s.ReadCluster(ctx, ref.Name); other == nil {
			return &ClusterReplacedError{Name: ref.Name}
		}
		return err
	}
	if isEtcdSilent(err) {
		return fmt.Errorf("it is unknown whether cluster %s is marked for deletion; run the same delete again: %w",
			ref.Name, err)
	}
	if err != nil {
		return err
	}
	d := deleteRequest{Client: c, store: s, temporal: t, ref: ref, purge: purge, notice: notice,
		checkWorker: c.newWorkerCheck()}
	err = d.startDelete(ctx)
	if isServerSilent(err) && ctx.Err() == nil && !purge { // a sweep does not purge
		return newDeferredError(ref.Name, "marked for deletion", "delete", err)
	}
	return err
}

// deleteRequest starts a delete under the operation id of a cluster.
type deleteRequest struct {
	*Client
	store    *store.Store
	temporal client.Client
	ref      api.Ref
	purge    bool
	notice   func(string)
	// checkWorker fails once no worker has polled for a while.
	checkWorker func(context.Context, client.Client) error

	cancelled string // the run that was cancelled
	since     time.Time
}

func (d *deleteRequest) startDelete(ctx context.Context) error {
	wait := newBackOff(100*time.Millisecond, 2*time.Second)
	next := d.now().Add(d.checkEvery)
	for {
		done, err := d.tryStartDelete(ctx)
		if done || err != nil {
			return err
		}
		if now := d.now(); now.After(next) {
			if err := d.requireWorker(ctx); err != nil {
				return err
			}
			next = now.Add(d.checkEvery)
		}
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
}

// tryStartDelete starts the delete, or ends the operation that is in the way.
func (d *deleteRequest) tryStartDelete(ctx context.Context) (done bool, err error) {
	// Once the cluster is gone, a running operation belongs to a new cluster with the same name.
	if cl, err := d.store.ReadCluster(ctx, d.ref.Name); isClusterMissing(err) || err == nil &&
		cl.Metadata.UID != d.ref.UID {
		return true, nil
	}
	input := operation.DeleteInput{Cluster: d.ref, Purge: d.purge}
	err = d.startOperation(ctx, d.temporal, d.ref.Name, operation.WorkflowDelete, "Delete "+d.ref.Name, input)
	if err == nil {
		return true, nil
	}
	if !start.IsAlreadyRunning(err) {
		err = d.toTemporalError(ctx, err)
		if isServerSilent(err) && !d.purge {
			return false, err
		}
		return false, fmt.Errorf("cluster %s is marked for deletion, but the delete did not start; run the same "+
			"delete again: %w", d.ref.Name, err)
	}
	r, err := d.readLatestRun(ctx, d.temporal, d.ref.Name)
	switch {
	case err != nil:
		return false, err
	case !r.open: // it ended between the two calls
		return false, nil
	case r.workflow == operation.WorkflowDelete && (!d.purge || d.isPurge(ctx, r)):
		return true, nil
	}
	return false, d.endRunningOperation(ctx, r)
}

// endRunningOperation cancels the running operation. A purge also terminates a running delete, which may wait for a
// cloud that never answers and has nothing to clean up.
func (d *deleteRequest) endRunningOperation(ctx context.Context, r operationRun) error {
	if r.id != d.cancelled {
		d.notice(fmt.Sprintf("waiting for the running %s of cluster %s to end", r.workflow, d.ref.Name))
		d.cancelled, d.since = r.id, d.now()
		return d.ignoreNotFound(ctx, d.temporal.CancelWorkflow(ctx, operation.WorkflowID(d.ref.Name), r.id))
	}
	if d.purge && r.workflow == operation.WorkflowDelete && d.now().Sub(d.since) > terminateAfter {
		return d.ignoreNotFound(ctx, d.temporal.TerminateWorkflow(ctx, operation.WorkflowID(d.ref.Name), r.id,
			"skyctl delete --purge"))
	}
	return nil
}

// ignoreNotFound ignores that a run ended before it was cancelled.
func (d *deleteRequest) ignoreNotFound(ctx context.Context, err error) error {
	if err == nil || isWorkflowMissing(err) {
		return nil
	}
	return d.toTemporalError(ctx, err)
}

// isPurge reads from the history of a run whether it was started as a purge.
func (d *deleteRequest) isPurge(ctx context.Context, r operationRun) bool {
	call, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	history := d.temporal.GetWorkflowHistory(call, operation.WorkflowID(d.ref.Name), r.id, false, 0)
	if !history.HasNext() {
		return false
	}
	event, err := history.Next()
	if err != nil {
		return false
	}
	var input operation.DeleteInput
	err = converter.GetDefaultDataConverter().FromPayloads(
		event.GetWorkflowExecutionStartedEventAttributes().GetInput(), &input)
	return err == nil && input.Purge
}

func (d *deleteRequest) requireWorker(ctx context.Context) error {
	err := d.checkWorker(ctx, d.temporal)
	var none *NoWorkerError
	if errors.As(err, &none) {
		none.Consequence = "the cluster is marked for deletion; its machines are terminated once a worker runs"
	}
	return err
}

func isClusterMissing(err error) bool {
	var missing *store.NotFoundError
	return errors.As(err, &missing)
}

func isWorkflowMissing(err error) bool {
	var missing *serviceerror.NotFound
	return errors.As(err, &missing)
}
