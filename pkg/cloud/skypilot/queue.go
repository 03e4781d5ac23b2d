package skypilot

import (
	"context"
	"slices"
	"sync"
)

// queue lets one caller at a time ask whether the server has room for another launch, heads before workers, and else
// in the order of their coming.
type queue struct {
	mu      sync.Mutex
	waiting []*turn
	coming  int
	busy    bool
}

type turn struct {
	head  bool
	order int
	mine  chan struct{}
}

func newQueue() *queue { return &queue{} }

// wait returns once it is the caller's turn, with what ends it.
func (q *queue) wait(ctx context.Context, head bool) (func(), error) {
	q.mu.Lock()
	q.coming++
	t := &turn{head: head, order: q.coming, mine: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.next()
	q.mu.Unlock()
	select {
	case <-t.mine:
		return q.done, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else { // it became ours at the same moment
		q.busy = false
		q.next()
	}
	return nil, context.Cause(ctx)
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.next()
}

// overtaken says whether a head waits; a worker that finds the server full lets it go first.
func (q *queue) overtaken() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.waiting, func(t *turn) bool { return t.head })
}

func (q *queue) next() {
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
		return a.order - b.order
	})
	i := slices.Index(q.waiting, first)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.busy = true
	close(first.mine)
}

// locks holds one caller at a time for each name.
type locks struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	slot  chan struct{}
	users int
}

func newLocks() *locks { return &locks{held: map[string]*held{}} }

func (l *locks) acquire(ctx context.Context, name string) (func(), error) {
	l.mu.Lock()
	h := l.held[name]
	if h == nil {
		h = &held{slot: make(chan struct{}, 1)}
		l.held[name] = h
	}
	h.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.held, name)
		}
	}
	select {
	case h.slot <- struct{}{}:
		return func() { <-h.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
