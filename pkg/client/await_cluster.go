package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Progress is what a wait shows: the cluster, and a notice for the person, which may be empty.
type Progress struct {
	Cluster *api.Cluster
	Notice  string
}

// AwaitReady follows a cluster until it is READY. The error is an OperationFailedError if the cluster goes to ERROR or
// its operation ends, and a WaitTimeoutError after limit, if that is above 0. The wait survives an outage of the
// servers.
func (c *Client) AwaitReady(ctx context.Context, ref api.Ref, limit time.Duration, see func(Progress)) (*api.Cluster,
	error) {
	return c.followCluster(ctx, ref, limit, waitGoal{
		name: string(api.PhaseReady), operation: "provisioning", gone: &ClusterDeletedError{Name: ref.Name},
		judge: func(cl *api.Cluster) (bool, error) {
			switch cl.Status.Phase {
			case api.PhaseReady:
				return true, nil
			case api.PhaseError:
				return true, &OperationFailedError{Cluster: ref.Name, Operation: "provisioning",
					Failure: cl.Status.Failure, Reason: "the cluster went to ERROR"}
			case api.PhaseDeleting:
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return false, nil
		},
	}, see)
}

// AwaitGone follows a cluster until its record is removed from etcd. The error is an OperationFailedError if the delete
// ends before that.
func (c *Client) AwaitGone(ctx context.Context, ref api.Ref, limit time.Duration, see func(Progress)) error {
	_, err := c.followCluster(ctx, ref, limit, waitGoal{
		name: "gone", operation: "deleting",
		judge: func(*api.Cluster) (bool, error) { return false, nil },
	}, see)
	if err == nil {
		err = c.awaitOperationClosed(ctx, ref)
	}
	return err
}

// awaitOperationClosed waits for the end of the operation on a cluster that has reached its goal, so that the next one
// can start at once: a new cluster with the same name, say. A slower operation is not an error.
func (c *Client) awaitOperationClosed(ctx context.Context, ref api.Ref) error {
	_, t, err := c.connectServers(ctx)
	if err != nil {
		return err
	}
	wait := newBackOff(20*time.Millisecond, 500*time.Millisecond)
	for deadline := c.now().Add(dialTimeout); c.now().Before(deadline); {
		if r, err := c.readLatestRun(ctx, t, ref.Name); err != nil || !r.open {
			return ctx.Err()
		}
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// waitGoal is the state that a wait waits for.
type waitGoal struct {
	name      string
	operation string
	gone      error // the error if the cluster is deleted; nil if that is the goal
	judge     func(*api.Cluster) (done bool, err error)
	// missed returns the error if the operation ended, with the error ended, before the goal was reached. If it is nil,
	// that is an OperationFailedError.
	missed func(cl *api.Cluster, ended error) error
	// explainIdle says what the wait goes on for after the operation has ended without an error. If it is nil or
	// returns nothing, the wait ends too.
	explainIdle func(cl *api.Cluster) string
	// outlastsFailures: explainIdle is asked after an operation that failed too.
	outlastsFailures bool
}

func (c *Client) followCluster(ctx context.Context, ref api.Ref, limit time.Duration, g waitGoal,
	see func(Progress)) (*api.Cluster, error) {
	s, _, err := c.connectServers(ctx)
	if err != nil {
		return nil, err
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := s.WatchClusters(watch, ref.Name)
	if isClusterMissing(err) {
		return nil, g.gone
	}
	if err != nil {
		return nil, err
	}
	var timeout <-chan time.Time
	if limit > 0 {
		timeout = time.After(limit)
	}
	check := time.NewTicker(c.checkEvery)
	defer check.Stop()
	last := Progress{}
	for {
		select {
		case <-ctx.Done():
			return last.Cluster, ctx.Err()
		case <-timeout:
			return last.Cluster, &WaitTimeoutError{Name: ref.Name, For: g.name, Took: limit}
		case e, ok := <-events:
			if !ok {
				return last.Cluster, ctx.Err()
			}
			if e.Type == store.ClusterDeleted || e.Cluster.Metadata.UID != ref.UID {
				return last.Cluster, g.gone
			}
			last.Cluster = e.Cluster
			see(last)
			if done, err := g.judge(e.Cluster); done {
				return e.Cluster, err
			}
		case <-check.C:
			v := c.checkOperation(withoutPatience(ctx), ref, g)
			if v.done {
				return v.cluster, v.err
			}
			if v.notice != last.Notice && last.Cluster != nil {
				last.Notice = v.notice
				see(last)
			}
		}
	}
}

// waitVerdict is the result of a check of an operation: the wait is done, or a notice to show.
type waitVerdict struct {
	done    bool
	cluster *api.Cluster // nil if it is gone
	err     error
	notice  string
}

// checkOperation checks whether an operation still works towards the goal. After the run has closed, the state in etcd
// is final, because an operation records its result before it ends.
func (c *Client) checkOperation(ctx context.Context, ref api.Ref, g waitGoal) waitVerdict {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return c.newOutageVerdict(err)
	}
	r, err := c.readLatestRun(ctx, t, ref.Name)
	if err != nil {
		return c.newOutageVerdict(err)
	}
	if r.open {
		listening, err := c.hasActiveWorker(ctx, t)
		switch {
		case err != nil:
			return c.newOutageVerdict(err)
		case !listening:
			return waitVerdict{notice: c.newNoWorkerError("the operation continues once a worker runs").Error()}
		}
		return waitVerdict{}
	}
	cl, err := s.ReadCluster(ctx, ref.Name)
	switch {
	case isClusterMissing(err), err == nil && cl.Metadata.UID != ref.UID:
		return waitVerdict{done: true, err: g.gone}
	case err != nil:
		return c.newOutageVerdict(err)
	}
	if done, err := g.judge(cl); done {
		return waitVerdict{done: true, cluster: cl, err: err}
	}
	// It may have been started again in the meantime.
	if again, err := c.readLatestRun(ctx, t, ref.Name); err != nil || again.id != r.id {
		return waitVerdict{}
	}
	if c.isStillDeferred(cl, r) {
		return waitVerdict{notice: "its operation has not started yet; the next sweep starts it"}
	}
	var ended error
	why := "no operation is running"
	if r.id != "" {
		if ended, err = c.readOutcome(ctx, t, ref.Name, r); err != nil {
			return c.newOutageVerdict(err)
		}
		why = failureReason(ended)
	}
	if (ended == nil || g.outlastsFailures) && g.explainIdle != nil {
		if notice := g.explainIdle(cl); notice != "" {
			return waitVerdict{notice: notice}
		}
	}
	if g.missed != nil {
		return waitVerdict{done: true, cluster: cl, err: g.missed(cl, ended)}
	}
	failed := &OperationFailedError{Cluster: ref.Name, Operation: g.operation, Failure: cl.Status.Failure, Reason: why}
	return waitVerdict{done: true, cluster: cl, err: failed}
}

// deferredTimeout is how long a wait goes on for a sweep to start an operation, and a little more than two sweeps take.
const deferredTimeout = 3 * time.Minute

// isStillDeferred reports whether the operation that a cluster's record asks for was not started yet: it was requested
// lately, after the start of the latest run.
func (c *Client) isStillDeferred(cl *api.Cluster, latest operationRun) bool {
	requested := requestedAt(cl)
	switch cl.Status.Phase {
	case api.PhaseInit, api.PhaseDeleting:
		requested = lastTransition(cl)
	}
	if requested.IsZero() {
		return false
	}
	return c.now().Sub(requested) < deferredTimeout && (latest.id == "" || latest.started.Before(requested))
}

// newOutageVerdict is a notice about an unreachable server. It does not end the wait, because operations are durable.
func (c *Client) newOutageVerdict(err error) waitVerdict {
	var etcd *store.UnavailableError
	if !isUnreachable(err) && !errors.As(err, &etcd) { // no worker, say
		return waitVerdict{notice: toOneLine(err.Error())}
	}
	hint := "waiting for it"
	if !c.cfg.IsExternal() {
		hint = "to start it again: skyctl server start; the operation then resumes"
	}
	return waitVerdict{notice: fmt.Sprintf("%s (%s)", toOneLine(err.Error()), hint)}
}
