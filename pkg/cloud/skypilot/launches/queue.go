// Package launches orders the launches of one SkyPilot API server, follows their logs and retries those that failed for
// a passing reason.
package launches

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Queue lets one caller at a time find out whether the server has room for another launch: heads before workers, each
// in the order of their calls. The zero value is ready for use.
type Queue struct {
	mu      sync.Mutex
	waiting []*turn
	calls   int
	busy    bool
}

type turn struct {
	head    bool
	order   int
	started chan struct{}
}

// AwaitTurn waits for the caller's turn, which ends when the caller calls done.
func (q *Queue) AwaitTurn(ctx context.Context, head bool) (done func(), err error) {
	q.mu.Lock()
	q.calls++
	t := &turn{head: head, order: q.calls, started: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.startNextTurn()
	q.mu.Unlock()
	select {
	case <-t.started:
		return q.endTurn, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else { // the turn started at the same moment
		q.busy = false
		q.startNextTurn()
	}
	return nil, context.Cause(ctx)
}

func (q *Queue) endTurn() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.startNextTurn()
}

// HasWaitingHead reports whether a head waits. A worker that finds the server full lets it go first.
func (q *Queue) HasWaitingHead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(t *turn) bool { return t.head })
}

func (q *Queue) startNextTurn() {
	if q.busy || len(q.waiting) == 0 {
		return
	}
	first := slices.MinFunc(q.waiting, func(a, b *turn) int {
		if a.head != b.head {
			if a.head {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.order, b.order)
	})
	i := slices.Index(q.waiting, first)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.busy = true
	close(first.started)
}
