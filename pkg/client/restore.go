package client

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// RestoreOptions say how a cluster is restored.
type RestoreOptions struct {
	Snapshot api.Snapshot
	// NewMachines: all machines are ended, and others are launched.
	NewMachines bool
	// Force accepts the snapshot of another cluster, on new machines.
	Force bool
	// DiscardState: the present state is not kept as a snapshot first.
	DiscardState bool
}

// OperationRequest is a restore, a stop or a start that is recorded in etcd.
type OperationRequest struct {
	// Cluster is the cluster with the request, and with its machines.
	Cluster *api.Cluster
	// Changed is false if the same was already requested, or done.
	Changed bool
	// Unstarted is why Temporal could not be told; nil if it was. The request is recorded, and the next sweep starts
	// the operation.
	Unstarted error
}

// NewRestoreWish returns the wish for a restore of a cluster that was read with its machines.
func (c *Client) NewRestoreWish(ctx context.Context, seen *api.Cluster, o RestoreOptions) (api.RestoreWish, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return api.RestoreWish{}, err
	}
	twin, err := s.FindTwin(ctx, seen, o.Snapshot)
	return api.RestoreWish{ID: api.NewRestoreID(uuid.NewString()), Snapshot: o.Snapshot, NewMachines: o.NewMachines,
		Force: o.Force, DiscardState: o.DiscardState, Twin: twin, LostServer: seen.LostServer(), At: c.now()}, err
}

// RestoreCluster records that a cluster, as a person has seen it with its machines, is to be restored, and starts the
// operation. Its errors are those of RequestRestore; then nothing is written.
func (c *Client) RestoreCluster(ctx context.Context, seen *api.Cluster, o RestoreOptions) (OperationRequest, error) {
	wish, err := c.NewRestoreWish(ctx, seen, o)
	if err != nil {
		return OperationRequest{}, err
	}
	return c.requestOperation(ctx, seen.Ref(), "restore", func(cl *api.Cluster) (bool, error) {
		return cl.RequestRestore(wish)
	})
}

// requestOperation records a request in a cluster's status, and starts the operation that it needs. what names the
// command for people: "restore".
func (c *Client) requestOperation(ctx context.Context, ref api.Ref, what string,
	request func(*api.Cluster) (changed bool, err error)) (OperationRequest, error) {
	s, t, err := c.connectForRequest(ctx)
	if err != nil {
		return OperationRequest{}, err
	}
	result := OperationRequest{}
	err = c.retryStore(ctx, func() error {
		before := result.Changed // a write whose answer was lost may have been the one that changed it
		_, err := s.UpdateCluster(ctx, ref, func(cl *api.Cluster) (err error) {
			result.Changed, err = request(cl)
			return err
		})
		result.Changed = result.Changed || before
		return err
	})
	switch {
	case isClusterMissing(err):
		if _, other := s.ReadCluster(ctx, ref.Name); other == nil {
			return OperationRequest{}, &ClusterReplacedError{Name: ref.Name}
		}
		return OperationRequest{}, err
	case isEtcdSilent(err):
		return OperationRequest{}, fmt.Errorf("it is unknown whether the %s of cluster %s is recorded; run the same "+
			"command again: %w", what, ref.Name, err)
	case err != nil:
		return OperationRequest{}, err
	}
	if result.Cluster, err = s.ReadCluster(ctx, ref.Name); err != nil {
		return OperationRequest{}, fmt.Errorf("the %s of cluster %s is recorded: %w", what, ref.Name, err)
	}
	if workflow := operation.RequestedOperation(result.Cluster); workflow != "" {
		err = c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) error {
			return start.SignalOperation(ctx, t, c.cfg.Temporal.TaskQueue, ref.Name, workflow, workflow+" "+ref.Name,
				operation.NewRequestedInput(workflow, ref))
		})
		result.Unstarted = c.toTemporalError(ctx, err)
	}
	return result, nil
}

// AwaitRestored follows a cluster, whose restore or start was requested, until that has ended. The error is an
// *OperationFailedError if the restore fails, and a *WaitTimeoutError after limit, if that is above 0. The wait
// survives an outage of the servers.
func (c *Client) AwaitRestored(ctx context.Context, requested *api.Cluster, limit time.Duration,
	see func(Progress)) (*api.Cluster, error) {
	doing, goal := "restoring", "restored"
	if r := requested.Status.Restore; r != nil && r.Reason == api.RestoreStart {
		doing, goal = "starting", "started"
	}
	return c.awaitRequest(ctx, requested, limit, see, waitGoal{
		name: goal, operation: doing,
		judge: func(cl *api.Cluster) (bool, error) {
			wanted, now := requested.Status.Restore, cl.Status.Restore
			switch {
			case wanted == nil: // it was READY already
				return cl.Status.Phase == api.PhaseReady, nil
			case now != nil && now.ID == wanted.ID && !hasFailedSince(requested, cl):
				return false, nil
			case cl.Status.Phase == api.PhaseReady && now == nil && hasNewRestore(requested, cl):
				return true, nil
			}
			return true, c.newRequestFailedError(ctx, requested, cl, doing, nil)
		},
	})
}

// hasNewRestore reports whether a restore has ended well since a cluster was read.
func hasNewRestore(before, now *api.Cluster) bool {
	was, is := before.Status.Restored, now.Status.Restored
	return is != nil && (was == nil || !was.At.Equal(is.At))
}

// hasFailedSince reports whether a cluster went to ERROR since it was read before.
func hasFailedSince(before, now *api.Cluster) bool {
	return now.Status.Phase == api.PhaseError && lastTransition(now).After(lastTransition(before))
}

func lastTransition(c *api.Cluster) time.Time {
	if n := len(c.Status.Transitions); n > 0 {
		return c.Status.Transitions[n-1].At
	}
	return time.Time{}
}

// awaitRequest completes the goal of a wait for a requested operation, and waits.
func (c *Client) awaitRequest(ctx context.Context, requested *api.Cluster, limit time.Duration, see func(Progress),
	g waitGoal) (*api.Cluster, error) {
	name, judge := requested.Metadata.Name, g.judge
	g.gone = &ClusterDeletedError{Name: name}
	g.judge = func(cl *api.Cluster) (bool, error) {
		if cl.Status.Phase == api.PhaseDeleting {
			return true, &ConflictError{Name: name, Phase: api.PhaseDeleting}
		}
		return judge(cl)
	}
	g.missed = func(cl *api.Cluster, ended error) error {
		return c.newRequestFailedError(ctx, requested, cl, g.operation, ended)
	}
	g.explainIdle = func(cl *api.Cluster) string {
		if operation.RequestedOperation(cl) == "" || cl.Status.Phase == api.PhaseError {
			return ""
		}
		return "waiting for the next sweep, which continues it; to do it now: skyctl reconcile " + name
	}
	var reached *api.Cluster
	err := c.RetryWhileUnreachable(ctx, newProgressNotifier(see, requested), func() (err error) {
		reached, err = c.followCluster(ctx, requested.Ref(), limit, g, see)
		return err
	})
	if err == nil {
		err = c.awaitOperationClosed(ctx, requested.Ref()) // so that the next one starts at once
	}
	return reached, err
}

// newRequestFailedError says why a requested operation did not reach its goal: by the cluster's failure, by how the
// operation ended, or by the last warning.
func (c *Client) newRequestFailedError(ctx context.Context, requested, now *api.Cluster, doing string,
	ended error) error {
	failed := &OperationFailedError{Cluster: now.Metadata.Name, Operation: doing, Reason: failureReason(ended)}
	if now.Status.Phase == api.PhaseError {
		failed.Failure = now.Status.Failure
	}
	failed.Unchanged = now.Status.Phase == api.PhaseReady && now.Status.Restore == nil && now.Status.Stop == nil &&
		!hasNewRestore(requested, now)
	if ended == nil {
		_ = c.awaitOperationClosed(ctx, now.Ref()) // a warning may follow; else the reason is less precise
		if why := c.readLastWarning(ctx, now.Metadata.Name, requestedAt(requested)); why != "" {
			failed.Reason = why
		}
	}
	return failed
}

// readLastWarning returns the message of the last warning about a cluster since a time; empty if there is none, or if
// etcd does not answer.
func (c *Client) readLastWarning(ctx context.Context, cluster string, since time.Time) string {
	events, err := c.ListEvents(ctx, cluster)
	if err != nil {
		return ""
	}
	for i := len(events) - 1; i >= 0; i-- {
		if e := events[i]; e.Type == api.EventWarning && !e.Last.Before(since) {
			return toOneLine(e.Message)
		}
	}
	return ""
}

// requestedAt is when a restore, a start or a stop of a cluster was requested last; zero if none is.
func requestedAt(c *api.Cluster) time.Time {
	switch {
	case c.Status.Restore != nil:
		return c.Status.Restore.AskedAt
	case c.Status.Stop != nil:
		return c.Status.Stop.AskedAt
	}
	return time.Time{}
}
