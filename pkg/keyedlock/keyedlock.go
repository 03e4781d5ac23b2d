// Package keyedlock provides mutexes by name, for waits that end with a context.
package keyedlock

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Locks holds one lock for each key in use. The zero value is ready for use. It must not be copied.
type Locks struct {
	mu    sync.Mutex
	inUse map[string]*lock
}

type lock struct {
	semaphore *semaphore.Weighted
	users     int // who holds it and who waits for it; without any, the lock is forgotten
}

// Acquire locks a key, in the order of the calls. The caller must call release once. If the context ends first, the
// error is its cause.
func (l *Locks) Acquire(ctx context.Context, key string) (release func(), err error) {
	k := l.join(key)
	if k.semaphore.Acquire(ctx, 1) != nil {
		l.leave(key, k)
		return nil, context.Cause(ctx)
	}
	return func() {
		k.semaphore.Release(1)
		l.leave(key, k)
	}, nil
}

func (l *Locks) join(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inUse == nil {
		l.inUse = map[string]*lock{}
	}
	k := l.inUse[key]
	if k == nil {
		k = &lock{semaphore: semaphore.NewWeighted(1)}
		l.inUse[key] = k
	}
	k.users++
	return k
}

func (l *Locks) leave(key string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.inUse, key)
	}
}
