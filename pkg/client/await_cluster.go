package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Progress is what a wait has to show: the cluster as it stands, and what a person should know besides.
type Progress struct {
	Cluster *api.Cluster
	Notice  string
}

// AwaitReady follows a cluster until it is READY. Its error is a OperationFailedError where it ends in ERROR or nothing
// works on it any more, and a WaitTimeoutError once limit (if above 0) is over. Servers that go away for a while are
// waited for.
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
					Failure: cl.Status.Failure, Reason: "it ended in ERROR"}
			case api.PhaseDeleting:
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return false, nil
		},
	}, see)
}

// AwaitGone follows a cluster until etcd no longer has it. Its error is a OperationFailedError where the delete ends
// without that.
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

// awaitOperationClosed lets the operation end that has just forgotten a cluster, so that another of that name may be
// created at once. One that takes longer is no reason to complain: the cluster is gone.
func (c *Client) awaitOperationClosed(ctx context.Context, ref api.Ref) error {
	_, t, err := c.connectServers(ctx)
	if err != nil {
		return err
	}
	wait := newBackOff(20*time.Millisecond, 500*time.Millisecond)
	for give := c.now().Add(dialTimeout); c.now().Before(give); {
		if r, err := c.readLatestRun(ctx, t, ref.Name); err != nil || !r.open {
			return ctx.Err()
		}
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// waitGoal is what a wait waits for.
type waitGoal struct {
	name      string
	operation string
	gone      error // nil where being gone is the goal
	judge     func(*api.Cluster) (done bool, err error)
	// left is why the goal was not reached although the operation has ended, and how; nil makes a OperationFailedError
	// of both.
	left func(cl *api.Cluster, ended error) error
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
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	check := time.NewTicker(c.checkEvery)
	defer check.Stop()
	last := Progress{}
	for {
		select {
		case <-ctx.Done():
			return last.Cluster, ctx.Err()
		case <-over:
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
			v := c.checkOperation(ctx, ref, g)
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

// waitVerdict is what a look at an operation found: that the wait is done, and how, or what a person should know.
type waitVerdict struct {
	done    bool
	cluster *api.Cluster // as it stood then; nil where it is gone
	err     error
	notice  string
}

// checkOperation looks whether somebody still works towards the goal. What etcd says after the run has closed is final:
// an operation writes its last word before it ends.
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
			return waitVerdict{notice: c.newNoWorkerError("the work goes on when one does").Error()}
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
	// Somebody may have started it anew since: then there is nothing to complain about.
	if again, err := c.readLatestRun(ctx, t, ref.Name); err != nil || again.id != r.id {
		return waitVerdict{}
	}
	var ended error
	why := "no operation works on it"
	if r.id != "" {
		ended = c.readOutcome(ctx, t, ref.Name, r)
		why = failureReason(ended)
	}
	if g.left != nil {
		return waitVerdict{done: true, cluster: cl, err: g.left(cl, ended)}
	}
	failed := &OperationFailedError{Cluster: ref.Name, Operation: g.operation, Failure: cl.Status.Failure, Reason: why}
	return waitVerdict{done: true, cluster: cl, err: failed}
}

// newOutageVerdict says that a server is gone for the moment, which ends no wait: the work is durable.
func (c *Client) newOutageVerdict(err error) waitVerdict {
	var etcd *store.UnavailableError
	if !isUnreachable(err) && !errors.As(err, &etcd) { // no worker, say
		return waitVerdict{notice: toOneLine(err.Error())}
	}
	hint := "waiting for it to come back"
	if !c.cfg.IsExternal() {
		hint = "start it again with skyctl server start; the work goes on where it stood"
	}
	return waitVerdict{notice: fmt.Sprintf("%s (%s)", toOneLine(err.Error()), hint)}
}
