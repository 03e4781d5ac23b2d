package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// SnapshotFailedError says that a snapshot was not taken, kept, deleted or verified.
type SnapshotFailedError struct {
	Cluster, Name string
	// Goal is what was waited for: "kept", "deleted" or "verified".
	Goal, Why string
}

func (e *SnapshotFailedError) Error() string {
	return fmt.Sprintf("snapshot %s of cluster %s was not %s: %s", e.Name, e.Cluster, e.Goal, toOneLine(e.Why))
}

// snapshotGoal is what a wait for a snapshot waits for.
type snapshotGoal struct {
	name string
	// judge says whether a snapshot has reached the goal, or an error that ends the wait.
	judge func(api.Snapshot) (done bool, err error)
	// gone ends the wait if the snapshot is deleted; nil if that is the goal.
	gone error
}

// snapshotPause is the time between two looks at a snapshot.
const snapshotPause = 500 * time.Millisecond

// failurePatience is how long a wait goes on although the snapshot's record has a failure, which skyd tries again.
const failurePatience = 3 * time.Minute

// AwaitSnapshotKept waits until a snapshot is kept off the machines. The error is a *SnapshotFailedError if it could
// not be taken, or was not kept for failurePatience.
func (c *Client) AwaitSnapshotKept(ctx context.Context, wanted api.Snapshot, limit time.Duration,
	notice func(string)) (api.Snapshot, error) {
	gone := &store.SnapshotMissingError{Cluster: wanted.Cluster, Name: wanted.Name}
	return c.awaitSnapshot(ctx, wanted, limit, notice, snapshotGoal{
		name: "kept", gone: gone,
		judge: func(s api.Snapshot) (bool, error) {
			switch s.State {
			case api.SnapshotKept:
				return true, nil
			case api.SnapshotFailed, api.SnapshotLost:
				return true, &SnapshotFailedError{Cluster: s.Cluster, Name: s.Name, Goal: "kept", Why: s.Failure}
			case api.SnapshotDeleting:
				return true, gone
			}
			return false, nil
		},
	})
}

// AwaitSnapshotDeleted waits until the record of a snapshot is removed.
func (c *Client) AwaitSnapshotDeleted(ctx context.Context, deleting api.Snapshot, limit time.Duration,
	notice func(string)) error {
	_, err := c.awaitSnapshot(ctx, deleting, limit, notice, snapshotGoal{
		name: "deleted", judge: func(api.Snapshot) (bool, error) { return false, nil },
	})
	return err
}

// AwaitSnapshotVerified waits for the end of a verification, with any result.
func (c *Client) AwaitSnapshotVerified(ctx context.Context, asked api.Snapshot, limit time.Duration,
	notice func(string)) (api.Snapshot, error) {
	return c.awaitSnapshot(ctx, asked, limit, notice, snapshotGoal{
		name: "verified", gone: &store.SnapshotMissingError{Cluster: asked.Cluster, Name: asked.Name},
		judge: func(s api.Snapshot) (bool, error) {
			if s.State == api.SnapshotDeleting {
				return true, &store.SnapshotMissingError{Cluster: asked.Cluster, Name: asked.Name}
			}
			return s.Check != nil && !s.Check.IsDue(), nil
		},
	})
}

// AwaitSnapshotState waits until a snapshot is in the state that judge finds, called name; or, unless stays, until it
// is deleted.
func (c *Client) AwaitSnapshotState(ctx context.Context, seen api.Snapshot, name string, stays bool,
	limit time.Duration,
	notice func(string), judge func(api.Snapshot) (bool, error)) (api.Snapshot, error) {
	g := snapshotGoal{name: name, judge: func(s api.Snapshot) (bool, error) {
		met, err := judge(s)
		return met || err != nil, err
	}}
	if stays {
		g.gone = &store.SnapshotMissingError{Cluster: seen.Cluster, Name: seen.Name}
	}
	return c.awaitSnapshot(ctx, seen, limit, notice, g)
}

// awaitSnapshot reads a snapshot until it has reached a goal. The wait survives an outage of the servers. The error is
// a *SnapshotWaitError after limit, if that is above 0.
func (c *Client) awaitSnapshot(ctx context.Context, wanted api.Snapshot, limit time.Duration, notice func(string),
	g snapshotGoal) (last api.Snapshot, err error) {
	w := snapshotWait{Client: c, goal: g, last: wanted, began: c.now(), notice: notice,
		nextCheck: c.now().Add(c.checkEvery)}
	for {
		done := false
		err := c.RetryWhileUnreachable(ctx, notice, func() (err error) { done, err = w.judgeSnapshot(ctx); return err })
		if done || err != nil {
			return w.last, err
		}
		pause := snapshotPause
		if limit > 0 {
			left := limit - c.now().Sub(w.began)
			if left <= 0 {
				return w.last, &SnapshotWaitError{Name: wanted.Name, For: g.name, Took: limit}
			}
			pause = min(pause, left)
		}
		select {
		case <-ctx.Done():
			return w.last, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// SnapshotWaitError says that a wait for a snapshot ended before its goal; skyd goes on.
type SnapshotWaitError struct {
	Name, For string
	Took      time.Duration
}

func (e *SnapshotWaitError) Error() string {
	return fmt.Sprintf("snapshot %s is not %s after %v; skyd goes on", e.Name, e.For, e.Took.Round(time.Second))
}

// snapshotWait is one wait for a snapshot.
type snapshotWait struct {
	*Client
	goal   snapshotGoal
	last   api.Snapshot
	began  time.Time
	notice func(string)
	// failing is since when the record has a failure; zero if it has none.
	failing   time.Time
	nextCheck time.Time
}

func (w *snapshotWait) judgeSnapshot(ctx context.Context) (done bool, err error) {
	s, err := w.ConnectStore(ctx)
	if err != nil {
		return false, err
	}
	now, err := s.ReadSnapshot(ctx, w.last.Ref(), w.last.Name)
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return true, w.goal.gone
	}
	if err != nil {
		return false, err
	}
	w.last = now
	if done, err := w.goal.judge(now); done {
		return true, err
	}
	if now.Failure == "" {
		w.failing = time.Time{}
		return false, w.noticeIdleWorker(ctx)
	}
	if w.failing.IsZero() {
		w.failing = w.now()
	}
	if w.now().Sub(w.failing) >= failurePatience {
		return true, &SnapshotFailedError{Cluster: now.Cluster, Name: now.Name, Goal: w.goal.name + " yet",
			Why: now.Failure + " (skyd tries again)"}
	}
	w.notice(fmt.Sprintf("not %s yet: %s; skyd tries again", w.goal.name, toOneLine(now.Failure)))
	return false, nil
}

// noticeIdleWorker says that no worker listens, from time to time.
func (w *snapshotWait) noticeIdleWorker(ctx context.Context) error {
	if w.now().Before(w.nextCheck) {
		return nil
	}
	w.nextCheck = w.now().Add(w.checkEvery)
	t, err := w.ConnectTemporal(ctx)
	if err != nil {
		return err
	}
	listening, err := w.hasActiveWorker(ctx, t)
	if err == nil && !listening {
		w.notice(w.newNoWorkerError("the request is recorded, and carried out once a worker runs").Error())
	}
	return err
}
