package operations

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

// AwaitReady follows a cluster until it is READY. Its error is a FailedError where it ends in ERROR or nothing works on it
// any more, and a WaitError once limit (if above 0) is over. Servers that go away for a while are waited for.
func (c *Client) AwaitReady(ctx context.Context, ref api.Ref, limit time.Duration, see func(Progress)) (*api.Cluster, error) {
	return c.follow(ctx, ref, limit, goal{
		name: string(api.PhaseReady), operation: "provisioning", gone: &GoneError{Name: ref.Name},
		judge: func(cl *api.Cluster) (bool, error) {
			switch cl.Status.Phase {
			case api.PhaseReady:
				return true, nil
			case api.PhaseError:
				return true, &FailedError{Cluster: ref.Name, Operation: "provisioning", Failure: cl.Status.Failure, Reason: "it ended in ERROR"}
			case api.PhaseDeleting:
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return false, nil
		},
	}, see)
}

// AwaitGone follows a cluster until etcd no longer has it. Its error is a FailedError where the delete ends without that.
func (c *Client) AwaitGone(ctx context.Context, ref api.Ref, limit time.Duration, see func(Progress)) error {
	_, err := c.follow(ctx, ref, limit, goal{
		name: "gone", operation: "deleting",
		judge: func(*api.Cluster) (bool, error) { return false, nil },
	}, see)
	if err == nil {
		err = c.awaitClosed(ctx, ref)
	}
	return err
}

// awaitClosed lets the operation end that has just forgotten a cluster, so that another of that name may be created at
// once. One that takes longer is no reason to complain: the cluster is gone.
func (c *Client) awaitClosed(ctx context.Context, ref api.Ref) error {
	_, t, err := c.both(ctx)
	if err != nil {
		return err
	}
	wait := newBackOff(20*time.Millisecond, 500*time.Millisecond)
	for give := c.now().Add(dialTimeout); c.now().Before(give); {
		if r, err := c.run(ctx, t, ref.Name); err != nil || !r.open {
			return ctx.Err()
		}
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// goal is what a wait waits for.
type goal struct {
	name      string
	operation string
	gone      error // nil where being gone is the goal
	judge     func(*api.Cluster) (done bool, err error)
	// left is why the goal was not reached although the operation has ended, and how; nil makes a FailedError of both.
	left func(cl *api.Cluster, ended error) error
}

func (c *Client) follow(ctx context.Context, ref api.Ref, limit time.Duration, g goal, see func(Progress)) (*api.Cluster, error) {
	s, _, err := c.both(ctx)
	if err != nil {
		return nil, err
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := s.Watch(watch, ref.Name)
	if gone(err) {
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
			return last.Cluster, &WaitError{Name: ref.Name, For: g.name, Took: limit}
		case e, ok := <-events:
			if !ok {
				return last.Cluster, ctx.Err()
			}
			if e.Type == store.Delete || e.Cluster.Metadata.UID != ref.UID {
				return last.Cluster, g.gone
			}
			last.Cluster = e.Cluster
			see(last)
			if done, err := g.judge(e.Cluster); done {
				return e.Cluster, err
			}
		case <-check.C:
			v := c.alive(ctx, ref, g)
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

// verdict is what a look at an operation found: that the wait is done, and how, or what a person should know.
type verdict struct {
	done    bool
	cluster *api.Cluster // as it stood then; nil where it is gone
	err     error
	notice  string
}

// alive looks whether somebody still works towards the goal. What etcd says after the run has closed is final: an operation
// writes its last word before it ends.
func (c *Client) alive(ctx context.Context, ref api.Ref, g goal) verdict {
	s, t, err := c.both(ctx)
	if err != nil {
		return c.away(err)
	}
	r, err := c.run(ctx, t, ref.Name)
	if err != nil {
		return c.away(err)
	}
	if r.open {
		listening, err := c.workersListening(ctx, t)
		switch {
		case err != nil:
			return c.away(err)
		case !listening:
			return verdict{notice: c.noWorker("the work goes on when one does").Error()}
		}
		return verdict{}
	}
	cl, err := s.Get(ctx, ref.Name)
	switch {
	case gone(err), err == nil && cl.Metadata.UID != ref.UID:
		return verdict{done: true, err: g.gone}
	case err != nil:
		return c.away(err)
	}
	if done, err := g.judge(cl); done {
		return verdict{done: true, cluster: cl, err: err}
	}
	// Somebody may have started it anew since: then there is nothing to complain about.
	if again, err := c.run(ctx, t, ref.Name); err != nil || again.id != r.id {
		return verdict{}
	}
	var ended error
	why := "no operation works on it"
	if r.id != "" {
		ended = c.outcome(ctx, t, ref.Name, r)
		why = reason(ended)
	}
	if g.left != nil {
		return verdict{done: true, cluster: cl, err: g.left(cl, ended)}
	}
	failed := &FailedError{Cluster: ref.Name, Operation: g.operation, Failure: cl.Status.Failure, Reason: why}
	return verdict{done: true, cluster: cl, err: failed}
}

// away says that a server is gone for the moment, which ends no wait: the work is durable.
func (c *Client) away(err error) verdict {
	var etcd *store.UnavailableError
	if !isUnreachable(err) && !errors.As(err, &etcd) { // no worker, say
		return verdict{notice: oneLine(err.Error())}
	}
	hint := "waiting for it to come back"
	if !c.cfg.External() {
		hint = "start it again with skyctl server start; the work goes on where it stood"
	}
	return verdict{notice: fmt.Sprintf("%s (%s)", oneLine(err.Error()), hint)}
}
