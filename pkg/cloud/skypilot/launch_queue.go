package skypilot

import (
	"context"
	"slices"
	"sync"
)

// launchQueue lets one caller at a time ask whether the server has room for another launch, heads before workers, and
// else in the order of their coming.
type launchQueue struct {
	mu      sync.Mutex
	waiting []*launchTurn
	coming  int
	busy    bool
}

type launchTurn struct {
	head  bool
	order int
	mine  chan struct{}
}

// awaitTurn returns once it is the caller's turn, with what ends it.
func (q *launchQueue) awaitTurn(ctx context.Context, head bool) (func(), error) {
	q.mu.Lock()
	q.coming++
	t := &launchTurn{head: head, order: q.coming, mine: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.startNextTurn()
	q.mu.Unlock()
	select {
	case <-t.mine:
		return q.endTurn, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else { // it became ours at the same moment
		q.busy = false
		q.startNextTurn()
	}
	return nil, context.Cause(ctx)
}

func (q *launchQueue) endTurn() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.startNextTurn()
}

// hasWaitingHead says whether a head waits; a worker that finds the server full lets it go first.
func (q *launchQueue) hasWaitingHead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(t *launchTurn) bool { return t.head })
}

func (q *launchQueue) startNextTurn() {
	if q.busy || len(q.waiting) == 0 {
		return
	}
	first := slices.MinFunc(q.waiting, func(a, b *launchTurn) int {
		if a.head != b.head {
			if a.head {
				return -1
			}
			return 1
		}
		return a.order - b.order
	})
	i := slices.Index(q.waiting, first)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.busy = true
	close(first.mine)
}
