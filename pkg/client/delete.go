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

// terminateAfter is how long a delete that is to be purged may take to end by itself.
const terminateAfter = 15 * time.Second

// DeleteCluster records that the cluster is to go, and returns once a delete works on it or it is gone. It is the
// cluster of that UID, the one that a person was shown, and never another that bears its name by now: that is a
// *ClusterReplacedError. A provision that runs is cancelled: seeing the record, it goes on as the delete. Purge forgets
// the cluster even where its cloud can't be asked. notice is told, in words for a person, what is waited for.
func (c *Client) DeleteCluster(ctx context.Context, ref api.Ref, purge bool, notice func(string)) error {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return err
	}
	if err := refuseHomeInDoubt(ctx, s); err != nil {
		return err
	}
	_, err = s.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
		cl.Status.SetPhase(api.PhaseDeleting, "DeleteRequested", c.now().UTC())
		return nil
	})
	if isClusterMissing(err) {
		if _, other := s.ReadCluster(ctx, ref.Name); other == nil {
			return &ClusterReplacedError{Name: ref.Name}
		}
		return err
	}
	if err != nil {
		return err
	}
	d := deleteRequest{Client: c, store: s, temporal: t, ref: ref, purge: purge, notice: notice,
		lonely: c.newWorkerCheck()}
	return d.startDelete(ctx)
}

// deleteRequest is one attempt to get a delete to run under a cluster's operation id.
type deleteRequest struct {
	*Client
	store    *store.Store
	temporal client.Client
	ref      api.Ref
	purge    bool
	notice   func(string)
	lonely   func(context.Context, client.Client) error

	cancelled string // the run that was asked to end
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

// tryStartDelete starts the delete, or makes way for it.
func (d *deleteRequest) tryStartDelete(ctx context.Context) (done bool, err error) {
	// Whatever runs once it is gone works on another cluster of that name, and is none of our business.
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
		return false, fmt.Errorf("cluster %s is marked as to be deleted, but the work could not be started; run the "+
			"same delete again: %w",
			d.ref.Name, d.toTemporalError(ctx, err))
	}
	r, err := d.readLatestRun(ctx, d.temporal, d.ref.Name)
	switch {
	case err != nil:
		return false, err
	case !r.open: // it ended between the two questions
		return false, nil
	case r.workflow == operation.WorkflowDelete && (!d.purge || d.isPurge(ctx, r)):
		return true, nil
	}
	return false, d.endRunningOperation(ctx, r)
}

// endRunningOperation asks what runs to end. Only a delete that is to be purged is stopped by force: it may be waiting
// for a cloud that never answers, and nothing that it has begun needs cleaning up by itself.
func (d *deleteRequest) endRunningOperation(ctx context.Context, r operationRun) error {
	if r.id != d.cancelled {
		d.notice(fmt.Sprintf("waiting for the running %s of cluster %s to end", r.workflow, d.ref.Name))
		d.cancelled, d.since = r.id, d.now()
		return d.ignoreNotFound(ctx, d.temporal.CancelWorkflow(ctx, operation.WorkflowID(d.ref.Name), r.id))
	}
	if d.purge && r.workflow == operation.WorkflowDelete && d.now().Sub(d.since) > terminateAfter {
		return d.ignoreNotFound(ctx, d.temporal.TerminateWorkflow(ctx, operation.WorkflowID(d.ref.Name), r.id,
			"the cluster is to be purged"))
	}
	return nil
}

// ignoreNotFound forgives that a run ended before it was told to.
func (d *deleteRequest) ignoreNotFound(ctx context.Context, err error) error {
	if err == nil || isWorkflowMissing(err) {
		return nil
	}
	return d.toTemporalError(ctx, err)
}

// isPurge reads from a run's history whether it was started as a purge.
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
	err := d.lonely(ctx, d.temporal)
	var none *NoWorkerError
	if errors.As(err, &none) {
		none.Left = "the cluster is marked as to be deleted; its deletion begins when a worker does"
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
